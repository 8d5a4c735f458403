#!/bin/bash
#SBATCH --job-name=three-body-then
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=8192M
#SBATCH --time=24:00:00
#SBATCH --output=three-body-then-%j.log
#SBATCH --open-mode=append
#SBATCH --dependency=afterok:JOB
#SBATCH --kill-on-invalid-dep=yes

exec horseshoe video 'a; rm -rf b.zarr'
