// Package link makes a slow or lossy network link between two namespaces, where
// the kernel has no sch_netem: a TUN device in each, and packets carried between
// them by this process, late or not at all. Linux only; elsewhere the package is
// empty.
package link
