"""The DVC pipeline: one thin script per stage. Nothing else in the project knows DVC or its paths."""
