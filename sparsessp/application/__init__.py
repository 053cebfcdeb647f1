"""Trained models applied to images outside the pipeline: model cards, image files, prediction and export."""
