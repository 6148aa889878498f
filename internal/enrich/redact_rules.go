package enrich

import "strings"

// strength is how much a name says of its value.
type strength uint8

const (
	harmless strength = iota
	doubtful          // a secret unless the value isPlain
	secret
)

// nameStrength judges the name of an option, variable, header or field. It is
// cut into words at other characters than letters and digits, and before a
// capital letter that follows a small one.
func nameStrength(name string) strength {
	if name == "" || len(name) > 128 {
		return harmless
	}
	result, first, before, last := harmless, "", "", ""
	for len(name) > 0 {
		var w string
		if w, name = cutWord(name); w == "" {
			continue
		}
		if first == "" {
			first = w
		}
		before, last = last, w
		if isSecretWord(w) || equalFold(w, "key") && isKeyKind(before) {
			result = secret
		}
	}
	switch {
	case isAboutWord(last), equalFold(first, "no"):
		return harmless
	case result == harmless && isDoubtfulWord(last):
		return doubtful
	}
	return result
}

// cutWord takes the first word off a name; the word is empty where the name
// begins with a separator.
func cutWord(s string) (word, rest string) {
	for i := range len(s) {
		c := s[i]
		switch {
		case !isAlnum(c):
			return s[:i], s[i+1:]
		case i > 0 && isUpper(c) && !isUpper(s[i-1]):
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// isSecretWord knows the words whose value is a secret wherever they stand in
// a name, also run together with others ("dbpassword").
func isSecretWord(w string) bool {
	for _, s := range [...]string{"password", "passwd", "passphrase", "passcode", "secret", "credential", "apikey",
		"accesskey", "secretkey", "privatekey", "authkey", "bearer", "authorization", "cookie"} {
		if containsFold(w, s) {
			return true
		}
	}
	return len(w) >= 5 && equalFold(w[len(w)-5:], "token") || equalFold(w, "jwt") || equalFold(w, "psk")
}

// isKeyKind knows the words that make "key" a secret for certain.
func isKeyKind(w string) bool {
	return oneOf(w, "api", "access", "private", "secret", "auth", "shared", "account", "master", "encryption")
}

// isDoubtfulWord knows the last words of names that can be a secret or a file.
func isDoubtfulWord(w string) bool {
	return oneOf(w, "key", "pass", "pwd", "auth", "pin", "sig", "signature")
}

// isAboutWord knows the last words of names that tell of a secret without
// being one: "--password-file", "--token-ttl".
func isAboutWord(w string) bool {
	return oneOf(w, "file", "filename", "path", "dir", "directory", "cmd", "command", "stdin", "prompt", "policy",
		"length", "type", "name", "url", "uri", "endpoint", "ttl", "timeout", "expiry", "env", "fd", "mode", "size", "count")
}

// tool is what one-letter options mean to a program.
type tool struct {
	attached string // the value follows in the same word only: mysql -pSECRET
	separate string // the value is the next word only
	value    string // either
	pair     string // either, "user:password" or "user%password"
	lastIf   byte   // with this option the last argument is a secret
	password bool   // takes a new one behind the word "password"
	registry bool   // "login -p SECRET"
}

// toolOf returns the rules of a program by its name.
func toolOf(name string) (tool, bool) {
	switch name {
	case "mysql", "mysqldump", "mysqlimport", "mysqlshow", "mysqlcheck", "mysqlbinlog", "mysqlpump", "mysqlslap", "mysqlsh",
		"mariadb", "mariadb-dump", "mariadb-import", "mariadb-show", "mariadb-check", "mariadb-binlog", "mariadb-slap",
		"7z", "7za", "7zr", "rar", "unrar":
		return tool{attached: "p"}, true
	case "mysqladmin", "mariadb-admin":
		return tool{attached: "p", password: true}, true
	case "sshpass", "mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport", "useradd", "usermod":
		return tool{value: "p"}, true
	case "curl":
		return tool{pair: "uU"}, true
	case "http", "https", "httpie":
		return tool{pair: "a"}, true
	case "smbclient", "rpcclient", "smbget":
		return tool{pair: "U"}, true
	case "redis-cli":
		return tool{value: "a"}, true
	case "ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldapmodrdn", "ldapcompare", "ldapwhoami":
		return tool{value: "w"}, true
	case "ldappasswd":
		return tool{value: "was"}, true
	case "zip", "unzip", "ipmitool", "mosquitto_pub", "mosquitto_sub", "sqlcmd", "bcp":
		return tool{value: "P"}, true
	case "snmpget", "snmpgetnext", "snmpwalk", "snmpbulkwalk", "snmpset":
		return tool{value: "AXc"}, true
	case "openssl":
		return tool{separate: "kK"}, true
	case "htpasswd":
		return tool{lastIf: 'b'}, true
	case "docker", "podman", "nerdctl", "buildah", "skopeo", "helm", "oras":
		return tool{registry: true}, true
	}
	return tool{}, false
}

// tokenShaped knows tokens that their issuers made recognisable, and private
// keys: GitHub, GitLab, Slack, JSON Web Tokens (RFC 7519), PEM (RFC 7468).
func tokenShaped(w string) bool {
	w = strings.Trim(w, `"'`)
	for _, p := range [...]string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "xoxa-"} {
		if strings.HasPrefix(w, p) && len(w) > len(p)+8 {
			return true
		}
	}
	return strings.HasPrefix(w, "eyJ") && len(w) > 40 && strings.Count(w, ".") == 2
}

// suspicious is the cheap test before all others: whether a word holds any
// beginning of what the rules look for. It may be wrong in one direction only.
func suspicious(w string) bool {
	for i := range len(w) {
		rest := w[i:]
		switch w[i] | 0x20 {
		case 'p':
			if startsFold(rest, "pass", "pwd", "psk", "pin", "private") {
				return true
			}
		case 's':
			if startsFold(rest, "secret", "sig") {
				return true
			}
		case 't':
			if startsFold(rest, "token") {
				return true
			}
		case 'k':
			if startsFold(rest, "key") {
				return true
			}
		case 'a':
			if startsFold(rest, "auth") {
				return true
			}
		case 'b':
			if startsFold(rest, "bearer") {
				return true
			}
		case 'c':
			if startsFold(rest, "cred", "cookie") {
				return true
			}
		case 'j':
			if startsFold(rest, "jwt") {
				return true
			}
		case 'g', 'x', 'e':
			if startsFold(rest, "gh", "glpat-", "xox", "eyJ") {
				return true
			}
		case ':' | 0x20:
			if strings.HasPrefix(rest, "://") && strings.IndexByte(rest, '@') > 0 {
				return true
			}
		}
	}
	return false
}

// isScheme knows the HTTP authentication schemes (RFC 9110 section 11.1) that
// stand between a header's name and the secret.
func isScheme(w string) bool { return oneOf(w, "bearer", "basic", "digest", "token", "negotiate") }

// isOption reports whether a word is another option and so no value: a secret
// that itself begins with two dashes is not told apart, one dash is.
func isOption(w string) bool { return len(w) > 2 && w[0] == '-' && w[1] == '-' }

// isPlain reports whether the value of a doubtful name is none to hide: a file,
// or the position of a switch ("-pin=false").
func isPlain(v string) bool {
	return isPath(v) || oneOf(strings.Trim(v, `"'`), "true", "false", "yes", "no", "on", "off")
}

// isPath reports whether a value names a file.
func isPath(v string) bool {
	v = strings.TrimLeft(v, `"'`)
	for _, p := range [...]string{"/", "./", "../", "~/"} {
		if strings.HasPrefix(v, p) {
			return true
		}
	}
	return len(v) > 2 && isAlnum(v[0]) && v[1] == ':' && v[2] == '\\'
}

func isSpace(c byte) bool    { return c == ' ' || c == '\t' || c == '\n' }
func isUpper(c byte) bool    { return 'A' <= c && c <= 'Z' }
func isAlnum(c byte) bool    { return '0' <= c && c <= '9' || isUpper(c) || 'a' <= c && c <= 'z' }
func isNameByte(c byte) bool { return isAlnum(c) || c == '_' || c == '-' || c == '.' }

func oneOf(w string, words ...string) bool {
	for _, s := range words {
		if equalFold(w, s) {
			return true
		}
	}
	return false
}

func startsFold(s string, words ...string) bool {
	for _, w := range words {
		if len(s) >= len(w) && equalFold(s[:len(w)], w) {
			return true
		}
	}
	return false
}

func containsFold(s, sub string) bool {
	for i := 0; i+len(sub) <= len(s); i++ {
		if equalFold(s[i:i+len(sub)], sub) {
			return true
		}
	}
	return false
}

// equalFold compares ASCII letters whatever their case. strings.EqualFold would
// also take the Kelvin sign for a k.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if isUpper(x) {
			x |= 0x20
		}
		if isUpper(y) {
			y |= 0x20
		}
		if x != y {
			return false
		}
	}
	return true
}
