"""The cluster behind one Protocol, so that the whole product runs with and without Kubernetes."""
