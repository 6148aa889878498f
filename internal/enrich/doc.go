// Package enrich adds to a process what the kernel does not know of it: names
// of its users, its systemd unit, its container, the packages of its program
// and modules, and a command line without secrets.
//
// It works at two speeds. Quick is called for every new program image by the
// recorder's one goroutine and takes microseconds. Deep is called by a worker
// for processes that live on, and may read and hash files. Everything looked up
// is kept in caches of stated capacity, so that neither memory nor work grows
// with the number of processes.
//
// What cannot be known for certain stays unknown: a file is taken for the
// process's own only if device and inode match, and a container's programs are
// never looked up among the host's packages.
//
// # Command lines
//
// Secrets are replaced by "[redacted]" unless the configuration says
// otherwise. The rules, in the order they apply, are those of
// docs/REDACTION.md:
//
//  1. --password SECRET, -password SECRET, --password=SECRET, PASSWORD=SECRET,
//     Header: SECRET, and the same inside connection strings, query strings,
//     JSON and shell texts, where a word of the name is password, passwd,
//     passphrase, passcode, secret, credential, token, cookie, authorization,
//     bearer, jwt, psk, or a key (api, access, secret, private, auth, ...).
//  2. The same where the last word is key, pass, pwd, auth, pin, sig or
//     signature, unless the value is a path or says yes or no.
//  3. user:SECRET@ in a URL.
//  4. One-letter options of programs that are known to take a secret there.
//  5. Tokens whose issuer made them recognisable.
package enrich
