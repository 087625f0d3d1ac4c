"""Many studies at a time, each as `cspine run` does it: on the cores, GPUs or machines that Ray finds."""
