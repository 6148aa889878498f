// Package run is what the measuring programs below bench share: it starts the
// tool under measurement and waits until it is ready, runs the generator and
// reads what that cost, and sums up rounds as medians with their spread.
package run
