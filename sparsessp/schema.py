"""Names of files, columns and reference predictions, shared by the stages that write them and the report.

They are defined here and nowhere else.
"""

# Prepared data.
MANIFEST = "manifest.csv"
VIEWS = "views.csv"
VOXEL_COLUMNS = ("voxel_z_um", "voxel_y_um", "voxel_x_um")
MANIFEST_COLUMNS = ("volume", "structure", "path", "plate", "planes", "height", "width", *VOXEL_COLUMNS)
INTENSITY_COLUMNS = ("light_mean", "light_std", "target_mean", "target_std")
CHECKSUM_COLUMN = "sha256"  # of the volume's file; always the last column
PART_COLUMN = "part"  # of the split; also a column of the manifest of images whose owner splits them

# Outputs of a training run.
MODEL_FILE = "model.pt"
HISTORY_FILE = "history.csv"
NETWORK_FILE = "network.json"
HISTORY_COLUMNS = ("structure", "iteration", "epoch", "training_mse", "validation_mse")

# Results of an evaluated run.
SCORES_FILE = "scores.csv"
PLANES_FILE = "planes.csv"
EXAMPLES_FILE = "examples.npz"
WINDOW_SAMPLING_FILE = "window_sampling.csv"
METRICS = ("mse", "mae", "r2")  # the paper's
EXTRA_METRICS = ("pearson", "r2_affine")
SCORE_COLUMNS = ("volume", "structure", *METRICS, *EXTRA_METRICS)
PLANE_COLUMNS = ("volume", "plane", "squared_error", "variation")
WINDOW_SAMPLING_COLUMNS = ("volume", "structure", "planes", "imaged", "read", "r2", "r2_window_sampling")

# Table 6: costs counted at the paper's size, costs measured at this scale, and the conditions of the measurement.
COUNTED_COLUMNS = ("experiment", "gmacs", "module_gmacs", "parameters")
MEASURED_COLUMNS = ("infer_s_per_iter", "infer_mem_mib", "train_iter_per_s", "train_mem_mib")
MACHINE_COLUMNS = ("machine", "device", "threads", "torch", "precision")  # also in the duration of each training
CONDITION_COLUMNS = (*MACHINE_COLUMNS, "planes", "window", "batch", "patch")
PROFILE_COLUMNS = (*COUNTED_COLUMNS, *MEASURED_COLUMNS, *CONDITION_COLUMNS)

# Files of the report that two reports are compared by.
REPORT_MEANS_FILE = "metrics.json"
REPORT_SCORES_FILE = "scores.csv"

# Reference predictions, scored like the networks. The z-profile does not use the image.
Z_PROFILE = "z-profile"


def linear_regression(ratio: int) -> str:
    """Return the name of the per-voxel linear regression on the brightfield at this sparsity ratio."""
    return f"linear-r{ratio}"
