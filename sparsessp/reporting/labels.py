"""What a report has to say about its runs: the data, the scale and the budget."""

from pydantic import Field

from sparsessp.config import Settings

DINOV2 = "DINOv2-Base"


class Labels(Settings):
    """Facts printed with every number, so that none can be mistaken for another setting's."""

    dataset: str = Field(description="name of the data set, such as synthetic or AllenCell collection")
    size: str | None = Field(default=None, description="size of the data set, such as small")
    simulated: bool = Field(description="whether the images come from a simulation, not a microscope")
    voxel_um: tuple[float, float, float] = Field(description="voxel size z, y, x of the targets")
    scale: str = Field(description="name of the training scale; `paper` is the paper's own")
    budget: dict[str, str] = Field(description="topology or method -> training budget in words")
    epochs: dict[str, float] = Field(default={}, description="topology -> passes over the training volumes")
    batch: int = Field(default=8, ge=1, description="crops per training step")
    width_3d: int = Field(ge=1, description="channels of a network's first level where it is 3D; the paper's is 32")
    width_2d: int = Field(ge=1, description="and where it is 2D; the paper's is 32")
    repmode_kernel: int = Field(ge=1, description="largest expert kernel of RepMode, voxels")
    backbone_divisor: int = Field(default=1, ge=1, description="what Table 5's backbones are divided by")
    pretrained: tuple[str, ...] = Field(default=(), description="backbones that started from trained weights")
    seeds: int = Field(default=1, ge=1, description="trainings of each run")
    ratios: tuple[int, ...] = Field(min_length=1, description="declared sparsity ratios")
    patch: tuple[int, int, int] = Field(description="planes, rows and columns of a training crop")
    train: int = Field(ge=1, description="training volumes")
    val: int = Field(ge=0, description="validation volumes")
    test: int = Field(ge=1, description="test volumes")

    @property
    def data(self) -> str:
        """The data set in words: `simulated data set synthetic/small`, `AllenCell collection`."""
        name = self.dataset if self.size is None else f"{self.dataset}/{self.size}"
        return f"simulated data set {name}" if self.simulated else name

    @property
    def setting(self) -> str:
        """Data and scale, for captions and titles."""
        return f"{self.data}, scale {self.scale}"

    @property
    def epochs_by_topology(self) -> str:
        """Passes over the training volumes here and in the paper, which gives the topologies 1 : 3 : 7."""
        names = {"3d": "3D", "2to3d": "2-to-3D", "3to2d": "3-to-2D", "2d": "2D"}
        if any(key not in self.epochs for key in names):
            return "unknown"
        here = ", ".join(f"{name} {self.epochs[key]:.3g}" for key, name in names.items())
        shares = " : ".join(f"{self.epochs[key] / self.epochs['3d']:.2g}" for key in names)
        return f"{here}, which is {shares} (paper: 1000, 3000, 3000 and 7000, which is 1 : 3 : 3 : 7)"

    def backbone(self, name: str) -> str:
        """Name of a backbone in tables: without DINOv2's weights nothing of DINOv2 is left but its architecture."""
        untrained = name == DINOV2 and "dinov2_base" not in self.pretrained
        return f"{name} (architecture only)" if untrained else name

    def approach(self, name: str) -> str:
        """Name of a method in tables: RepMode's kernel differs between scales, so it is shown."""
        return f"{name} (K={self.repmode_kernel})" if name == "RepMode" else name
