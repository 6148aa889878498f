// Package interest holds data of interest: rules that say which events and
// sockets somebody should look at, how urgently, and why.
//
// Rules come from three places: a TOML file of the administrator's (Add), a
// short list that the program brings along (AddStarter), and Sigma rules of
// category network_connection as they are published (AddSigma). A Builder
// collects them into a Set, which never changes, and a Matcher asks the set of
// one event or socket after another:
//
//	b := interest.NewBuilder(options)
//	b.AddStarter()
//	err := b.Add("interest.toml", data)
//	set, err := b.Set()
//	m := set.Matcher()
//	findings = m.Event(e, findings[:0])
//
// Findings are derived, not stored. What is true only of a moment (who may
// write an executable, what an address is called) is asked through Options; the
// package itself reads no file, looks up no name, and has no clock.
//
// An event that no rule is about costs little, however many rules there are:
// see index.go. docs/INTEREST.md is the reference of the rule file.
package interest
