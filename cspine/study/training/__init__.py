"""Training of nnU-Net on a dataset of the study, by nnU-Net's own planner, preprocessor and trainers."""
