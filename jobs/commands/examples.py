"""One example of each verb, the last line of its --help. Texts only."""

EXAMPLES = {
    "list": "horseshoe list julia",
    "plan": "horseshoe plan three-body --set 'view.resolution=[4000, 4000]'",
    "run": "mpiexec -n 2 horseshoe run three-body --set bodies.gravity=12",
    "status": "horseshoe status three-body.zarr",
    "verify": "horseshoe verify three-body.zarr",
    "image": "horseshoe image three-body.zarr --set picture.axes=true",
    "video": "horseshoe video swing.zarr --set picture.fps=15 --out swing.mkv",
    "measure": "horseshoe measure divergence swing.zarr --out swing.csv",
    "submit": "horseshoe submit three-body --nodes 2 --time 30 --dry-run",
    "doctor": "mpiexec -n 2 horseshoe doctor",
}
