"""The web page of the service: plain files, nothing to build, nothing fetched from anywhere else."""
