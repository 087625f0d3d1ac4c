"""Training of nnU-Net's networks on synthetic cases."""
