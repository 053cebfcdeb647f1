"""Plugin for napari: a widget that predicts fluorescence from an image layer. Needs the extra `napari`."""
