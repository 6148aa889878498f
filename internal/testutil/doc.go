// Package testutil is what tests share: network namespaces of their own, the
// one Skip helper, leak checks, a capture source that plays a script, and a
// generator of random but coherent histories. Only tests import it.
//
// Below it, truth compares what a recorder told with what a generator did,
// netconf configures namespaces, and cmd/portgen is that generator.
package testutil
