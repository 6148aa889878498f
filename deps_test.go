package portreporter_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// programPackages says which package holds each program that tests run by name;
// "" is for those of every Debian (Essential: yes) and Go's own.
func programPackages() map[string]string {
	return map[string]string{
		"bash": "", "cat": "", "dpkg-query": "", "getent": "", "go": "", "ldd": "", "readlink": "", "sh": "", "sleep": "", "true": "",
		"curl": "curl", "nginx": "nginx-light", "python3": "python3",
		"sshd": "openssh-server", "ssh": "openssh-client", "ssh-keygen": "openssh-client",
		"unshare": "util-linux", "mount": "mount",
		"nft": "nftables", "ip": "iproute2",
		"systemd-analyze": "systemd", "systemd-socket-activate": "systemd",

		"named": "bind9", "vsftpd": "vsftpd", "in.tftpd": "tftpd-hpa", "snmpd": "snmpd", "xl2tpd": "xl2tpd", "dovecot": "dovecot-imapd",
		"postfix": "postfix", "slapd": "slapd", "krb5kdc": "krb5-kdc", "samba": "samba",

		"caddy": "caddy", "etcd": "etcd-server", "xrdp": "xrdp", "smbd": "samba", "rsync": "rsync", "Xtigervnc": "tigervnc-standalone-server",
		"mariadbd": "mariadb-server", "setpriv": "postgresql", // util-linux's, to start postgres
		"redis-server": "redis-server", "memcached": "memcached", "mosquitto": "mosquitto", "nats-server": "nats-server",
		"chronyd": "chrony", "avahi-daemon": "avahi-daemon", "turnserver": "coturn", "kamailio": "kamailio",
		"freeradius": "freeradius", "coap-server-notls": "libcoap3-bin",

		"portreporter": "", "webshop": "", // stand for built programs: their Path is set
	}
}

// TestProgramsAreInstalled holds the tests to scripts/setup-test-deps: a test
// that runs a program which only this machine happens to have fails in CI.
func TestProgramsAreInstalled(t *testing.T) {
	script, err := os.ReadFile("scripts/setup-test-deps")
	if err != nil {
		t.Fatal(err)
	}
	list, _, _ := strings.Cut(string(script), "for group in")
	listed := strings.Fields(regexp.MustCompile(`#.*`).ReplaceAllString(list, ""))
	known := programPackages()
	for _, dir := range dirs(t) {
		names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		recipes, err := filepath.Glob(filepath.Join(dir, "recipes_*.go")) // of internal/testutil/server
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Concat(names, recipes) {
			for _, program := range programsRun(t, name) {
				p, ok := known[program]
				if !ok {
					t.Errorf("%s runs %s: say in programPackages what package holds it", name, program)
				} else if p != "" && !slices.Contains(listed, p) {
					t.Errorf("%s runs %s: scripts/setup-test-deps does not install %s", name, program, p)
				}
			}
		}
	}
}

// programsRun finds the programs that a file names where it runs or looks for
// them; those with a slash are the test's own.
func programsRun(t *testing.T, name string) (programs []string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	run := regexp.MustCompile(`(?:exec\.Command\(|exec\.CommandContext\([^,"]*, |exec\.LookPath\(|testutil\.Program\(\w+, |p\.path\(|Program: +)"([^"/]+)"`)
	for _, m := range run.FindAllSubmatch(text, -1) {
		programs = append(programs, string(m[1]))
	}
	return programs
}
