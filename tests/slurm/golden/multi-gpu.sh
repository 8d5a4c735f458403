#!/bin/bash
#SBATCH --job-name=three-body
#SBATCH --nodes=3
#SBATCH --ntasks=12
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=4
#SBATCH --mem=15360M
#SBATCH --time=1:40:00
#SBATCH --array=1-3
#SBATCH --output=three-body-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@62
#SBATCH --requeue

# A rank has the threads it makes itself; kernels are compiled once a node, into its scratch.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
export HORSESHOE_CACHE="${HORSESHOE_CACHE:-${SLURM_TMPDIR:-/tmp}/horseshoe-$UID}"

# An array's jobs have a number of their own. Older SLURMs do not tell a job when it ends.
job="${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}"
job="${job:-$SLURM_JOB_ID}"
end="$(SLURM_TIME_FORMAT=standard squeue --noheader --jobs="$job" --format=%e)"
[[ "$end" != 2*T* ]] || export SLURM_JOB_END_TIME="$(date --date="$end" +%s)"

finished() { (cd three-body.zarr && cat ledger/*.jsonl | wc -l; ls checkpoints/*) 2> /dev/null; }
before="$(finished)"

# The warning reaches this shell; srun and mpiexec pass it on to every rank.
launcher=
trap '[ -z "$launcher" ] || kill -USR1 "$launcher"' USR1 TERM
srun --mpi=pmi2 --kill-on-bad-exit=1 --cpus-per-task=8 --cpu-bind=cores --gpu-bind=none '/opt/horse shoe/bin/python' -m jobs run three-body --set 'bodies.mass=[10, 20, "$t"]' &
launcher=$!
while kill -0 "$launcher" 2> /dev/null; do wait "$launcher"; done
wait "$launcher"
code=$?
[ "$code" -eq 75 ] || exit "$code"

# 75: stopped early. Go on from the queue, where this start has brought the job on and nobody cancels it.
state="$(squeue --noheader --jobs="$job" --format=%T)"
if [ "$state" != RUNNING ]; then
    echo "horseshoe: stopped, SLURM says $state; not queued again" >&2
elif [ "$(finished)" = "$before" ]; then
    echo "horseshoe: stopped before a unit was finished; not queued again" >&2
elif [ "${SLURM_RESTART_COUNT:-0}" -ge 10 ]; then
    echo "horseshoe: stopped after 10 restarts; not queued again" >&2
else
    scontrol requeue "$job"
fi
exit 75
