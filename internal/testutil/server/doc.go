// Package server starts the real servers that probers are tested against, as
// Debian packages them (scripts/setup-test-deps has the list): each in a
// network namespace of the test's own, so that standard ports are free, with
// process, mount and /run of its own, so that nothing of it outlives the test.
//
// What a server is started with stands in recipes, by its program's name, so
// that every test that needs one has the same.
package server
