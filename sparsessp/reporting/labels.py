"""Facts about the runs that captions state: data, scale and budget."""

from pydantic import Field

from sparsessp.config import Settings

DINOV2 = "DINOv2-Base"


class Labels(Settings):
    """Facts printed with every number, so that it cannot be attributed to another setting."""

    dataset: str = Field(description="Name of the dataset, such as synthetic or AllenCell collection")
    size: str | None = Field(default=None, description="Size of the dataset, such as small")
    simulated: bool = Field(description="Whether the images are simulated")
    voxel_um: tuple[float, float, float] = Field(description="Voxel size z, y, x in micrometres")
    scale: str = Field(description="Name of the scale")
    budget: dict[str, str] = Field(description="Training budget in words, by topology or method")
    epochs: dict[str, float] = Field(default={}, description="Passes over the training volumes, by topology")
    batch: int = Field(default=8, ge=1, description="Crops per training step")
    width_3d: int = Field(ge=1, description="Channels of the first 3D level")
    width_2d: int = Field(ge=1, description="Channels of the first 2D level")
    repmode_kernel: int = Field(ge=1, description="Size of RepMode's largest expert kernel in voxels")
    backbone_divisor: int = Field(
        default=1, ge=1, description="Divisor of the channels and layers of Table 5's backbones"
    )
    pretrained: tuple[str, ...] = Field(default=(), description="Backbones with pretrained weights")
    seeds: int = Field(default=1, ge=1, description="Number of seeds per run")
    ratios: tuple[int, ...] = Field(min_length=1, description="Planned sparsity ratios")
    patch: tuple[int, int, int] = Field(description="Planes, rows and columns of a training crop")
    start_file: str | None = Field(default=None, description="Model file that some runs start from")
    started: tuple[str, ...] = Field(default=(), description="Runs that start from the model file")
    paper_scores: bool = Field(default=True, description="Whether the paper has scores of these structures")
    train: int = Field(ge=1, description="Number of training volumes")
    val: int = Field(ge=0, description="Number of validation volumes")
    test: int = Field(ge=1, description="Number of test volumes")

    @property
    def data(self) -> str:
        """The dataset in words: `simulated dataset synthetic/small`, `AllenCell collection`."""
        name = self.dataset if self.size is None else f"{self.dataset}/{self.size}"
        return f"simulated dataset {name}" if self.simulated else name

    @property
    def setting(self) -> str:
        """Data and scale, for captions and titles."""
        return f"{self.data}, scale {self.scale}"

    @property
    def epochs_by_topology(self) -> str:
        """Passes over the training volumes by topology, here and in the paper."""
        names = {"3d": "3D", "2to3d": "2-to-3D", "3to2d": "3-to-2D", "2d": "2D"}
        if any(key not in self.epochs for key in names):
            return "unknown"
        here = ", ".join(f"{name} {self.epochs[key]:.3g}" for key, name in names.items())
        ratios = " : ".join(f"{self.epochs[key] / self.epochs['3d']:.2g}" for key in names)
        return f"{here}, in the ratio {ratios} (paper: 1000, 3000, 3000 and 7000, 1 : 3 : 3 : 7)"

    def backbone(self, name: str) -> str:
        """Name of a backbone in tables; without its weights, DINOv2 is marked as an architecture only."""
        untrained = name == DINOV2 and "dinov2_base" not in self.pretrained
        return f"{name} (architecture only)" if untrained else name

    def approach(self, name: str) -> str:
        """Name of a method in tables; for RepMode with its kernel size, which differs between scales."""
        return f"{name} (K={self.repmode_kernel})" if name == "RepMode" else name
