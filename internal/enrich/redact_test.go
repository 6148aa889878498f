package enrich

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The table is the manual of the rules: arguments are separated by "|".
func TestRedact(t *testing.T) {
	const R = Redacted
	tests := []struct{ rule, in, want string }{
		{"nothing", "nginx|-c|/etc/nginx.conf|-g|daemon off;", ""},
		{"option and value", "app|--password|hunter2|-v", "app|--password|" + R + "|-v"},
		{"value in the word", "app|--password=hunter2|x", "app|--password=" + R + "|x"},
		{"single dash", "app|-password|hunter2", "app|-password|" + R},
		{"words in a name", "app|--db-password=a|--dbPassword=b|--db.password|c", "app|--db-password=" + R + "|--dbPassword=" + R + "|--db.password|" + R},
		{"every strong word", "a|--passwd|1|--passphrase|2|--secret|3|--token|4|--api-key|5|--apikey|6|--access_key|7|--credentials|8",
			"a|--passwd|" + R + "|--passphrase|" + R + "|--secret|" + R + "|--token|" + R + "|--api-key|" + R + "|--apikey|" + R + "|--access_key|" + R + "|--credentials|" + R},
		{"value with one dash", "app|--password|-x1", "app|--password|" + R},
		{"no value", "app|--password|--host|h", ""},
		{"about a secret", "docker|login|--password-stdin|reg.example|--token-file=/run/t|--max-tokens|4096", ""},
		{"doubtful, path kept", "app|--key|/etc/k.pem|--ssl-key=./k|-key|~/k", ""},
		{"doubtful, no path", "app|--key|abc|--key=def|--pass|ghi", "app|--key|" + R + "|--key=" + R + "|--pass|" + R},
		{"doubtful, a switch", "app|--pin=false|--use-key=TRUE|--auth|on|--pin='no'|--pin=1234", "app|--pin=false|--use-key=TRUE|--auth|on|--pin='no'|--pin=" + R},
		{"said not to be", "psql|--no-password|shop|-no-pin=x|--no-auth|h|NO_TOKEN=1|--nopassword|x|--node-key=k", "psql|--no-password|shop|-no-pin=x|--no-auth|h|NO_TOKEN=1|--nopassword|" + R + "|--node-key=" + R},
		{"pin inside a word", "app|--ping=3|--spinner|x|--pinned=y|--mapping=z|--no-pin=false", ""},
		{"no word of it", "app|--keyboard=us|--monkey=1|--compass|n|--passive|--tokenizer=x|--author=me", ""},
		{"environment", "env|PGPASSWORD=hunter2|AWS_SECRET_ACCESS_KEY=x/y|PWD=/root|psql", "env|PGPASSWORD=" + R + "|AWS_SECRET_ACCESS_KEY=" + R + "|PWD=/root|psql"},
		{"value with spaces", "env|PASSWORD=my long pass|x", "env|PASSWORD=" + R + "|x"},
		{"value with separators", "app|--password=a,b&c;d:e=f", "app|--password=" + R},
		{"openssl source", "openssl|enc|-pass|pass:hunter2|-k|other", "openssl|enc|-pass|" + R + "|-k|" + R},
		{"header", "curl|-H|Authorization: Bearer abc.def|-H|X-Api-Key: k1|-H|Accept: text/html", "curl|-H|Authorization: " + R + "|-H|X-Api-Key: " + R + "|-H|Accept: text/html"},
		{"header in words", "app|Authorization:|Basic|dXNlcg==|next", "app|Authorization:|Basic|" + R + "|next"},
		{"bearer", "app|Bearer|abc|next", "app|Bearer|" + R + "|next"},
		{"cookie", "curl|--cookie|sid=1", "curl|--cookie|" + R},
		{"url", "git|clone|https://bob:hunter2@git.example/x.git", "git|clone|https://bob:" + R + "@git.example/x.git"},
		{"url without user", "redis-cli|-u|redis://:hunter2@h:6379/0", "redis-cli|-u|redis://:" + R + "@h:6379/0"},
		{"url with token", "git|clone|https://0123456789abcdef01234567@git.example/x", "git|clone|https://" + R + "@git.example/x"},
		{"url, user only", "x|https://bob@h/|ssh://git@h/x|http://h:80/@scope/p", ""},
		{"two urls", "x|http://a:b@c,http://d:e@f", "x|http://a:" + R + "@c,http://d:" + R + "@f"},
		{"query string", "curl|https://h/p?user=bob&token=abc&x=1", "curl|https://h/p?user=bob&token=" + R + "&x=1"},
		{"connection string", "app|host=db;password=x;user=y", "app|host=db;password=" + R + ";user=y"},
		{"libpq string", "psql|host=db password=x user=y", "psql|host=db password=" + R + " user=y"},
		{"json", `curl|-d|{"user":"bob","password":"a\"b","n":1}`, `curl|-d|{"user":"bob","password":"` + R + `","n":1}`},
		{"json with spaces", `curl|-d|{"password": "a b", "n": 1}`, `curl|-d|{"password": ` + R + ` "n": 1}`},
		{"mysql attached", "mysql|-uroot|-phunter2|-P3306|-h|db", "mysql|-uroot|-p" + R + "|-P3306|-h|db"},
		{"mysql asks", "mysql|-u|root|-p|shop", ""},
		{"p of others", "ssh|-p2222|-p|22|host", ""},
		{"mysqladmin", "mysqladmin|-u|root|password|new", "mysqladmin|-u|root|password|" + R},
		{"behind another program", "sudo|-u|x|/usr/bin/mysqldump|-pabc", "sudo|-u|x|/usr/bin/mysqldump|-p" + R},
		{"sshpass", "sshpass|-p|hunter2|ssh|h", "sshpass|-p|" + R + "|ssh|h"},
		{"curl user", "curl|-su|bob:hunter2|-ubob:x|--user|bob:y|--proxy-user=p:q|-u|bob", "curl|-su|bob:" + R + "|-ubob:" + R + "|--user|bob:" + R + "|--proxy-user=p:" + R + "|-u|bob"},
		{"smb user", "smbclient|-U|bob%x|//h/s", "smbclient|-U|bob%" + R + "|//h/s"},
		{"ldap", "ldapsearch|-x|-w|x|-D|cn=a", "ldapsearch|-x|-w|" + R + "|-D|cn=a"},
		{"htpasswd", "htpasswd|-bc|f|bob|hunter2", "htpasswd|-bc|f|bob|" + R},
		{"docker publishes", "docker|run|-p|80:80|nginx", ""},
		{"docker login", "docker|login|-u|bob|-p|x|reg", "docker|login|-u|bob|-p|" + R + "|reg"},
		{"shell text", "sh|-c|mysql -pabc -u root && app --password 'a b' x", "sh|-c|mysql -p" + R + " -u root && app --password " + R + " x"},
		{"shell variable", "sh|-c|cd /x; PASSWORD='a b' app", "sh|-c|cd /x; PASSWORD='" + R + "' app"},
		{"text in text", `sh|-c|su bob -c 'app --token abc'`, `sh|-c|su bob -c 'app --token ` + R},
		{"sql", "psql|-c|alter user bob password 'x y'", "psql|-c|alter user bob password " + R},
		{"sql identified", "mysql|-e|create user a identified by 'x'", "mysql|-e|create user a identified by " + R},
		{"grep keeps its files", "grep|password|/etc/x", ""},
		{"known tokens", "app|ghp_0123456789abcdef|glpat-0123456789ab|eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.abcdef", "app|" + R + "|" + R + "|" + R},
		{"title", "sshd: bob [priv]", ""},
		{"title with a secret", "worker --password x", "worker --password " + R},
		{"escapes kept", "x|\x1b[2J\n--password\r|a", ""},
		{"unicode is no letter", "x|--pa\u212Aey=1", ""},
		{"empty value", "x|--password=|y", "x|--password=|" + R},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			in := strings.Split(tt.in, "|")
			want := in
			if tt.want != "" {
				want = strings.Split(tt.want, "|")
			}
			got := Redact(in)
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(got, Redact(got)); d != "" {
				t.Error("a second time: ", d)
			}
			if d := cmp.Diff(strings.Split(tt.in, "|"), in); d != "" {
				t.Error("changed its input: ", d)
			}
		})
	}
	if Redact(nil) != nil {
		t.Error("made something of nothing")
	}
}

// FuzzRedact holds the promises: as many arguments, nothing changed the second
// time, and what stands behind an unmistakable name is never shown.
func FuzzRedact(f *testing.F) {
	f.Add("nginx", "-c", "S3cr3t")
	f.Add("sh", "-c 'x --password y'", "a b")
	f.Add("curl", `{"password":"x"}`, "eyJ")
	f.Fuzz(func(t *testing.T, program, arg, planted string) {
		args := []string{program, arg, "--flag", "--password", "planted" + planted, "TOKEN=planted" + planted}
		got := Redact(args)
		if len(got) != len(args) {
			t.Fatalf("%d arguments of %d", len(got), len(args))
		}
		if again := Redact(got); !slices.Equal(got, again) {
			t.Errorf("%q, then %q", got, again)
		}
		for _, a := range got[4:] {
			if strings.Contains(a, "planted") {
				t.Errorf("%q shows the secret", got)
			}
		}
	})
}

func TestParseArgsMode(t *testing.T) {
	for word, want := range map[string]ArgsMode{"redacted": ArgsRedacted, "full": ArgsFull, "none": ArgsNone} {
		if got, err := ParseArgsMode(word); got != want || err != nil {
			t.Errorf("%s: %v, %v", word, got, err)
		}
	}
	if _, err := ParseArgsMode("all"); err == nil || err.Error() != `unknown mode of arguments "all": want redacted, full or none` {
		t.Errorf("error %v", err)
	}
}

func BenchmarkRedact(b *testing.B) {
	plain := strings.Split("/usr/sbin/nginx|-c|/etc/nginx/nginx.conf|-g|daemon_off|--worker=4|--listen|0.0.0.0:80", "|")
	found := append(slices.Clone(plain), "--password", "x")
	long := []string{"x", strings.Repeat("abcdefgh/", 64<<10/9)}
	for name, args := range map[string][]string{"plain": plain, "found": found, "64KiB": long} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Redact(args)
			}
		})
	}
}
