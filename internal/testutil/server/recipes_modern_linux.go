package server

// web are servers of HTTP in its versions, and those that speak it.
func web() map[string]Recipe {
	return map[string]Recipe{
		"nginx": {
			Program: "nginx", Args: []string{"-e", "stderr", "-c", "{dir}/nginx.conf"},
			Files: map[string]string{"nginx.conf": `daemon off; pid {dir}/pid;
events { }
http {
	access_log off;
	client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
	server { listen 80; listen [::]:80; root {dir}/root; }
}
`, "root/index.html": "<title>It works</title>"},
			TCP: []uint16{80},
		},
		"caddy": {
			Program: "caddy", Args: []string{"run", "--config", "{dir}/Caddyfile", "--adapter", "caddyfile"},
			Env: []string{"XDG_DATA_HOME={dir}", "XDG_CONFIG_HOME={dir}", "HOME={dir}"},
			Files: map[string]string{"Caddyfile": `{
	admin off
	auto_https disable_redirects
	skip_install_trust
	default_sni www.example.test
	servers {
		protocols h1 h2 h3
	}
}
https://www.example.test:8443 {
	tls internal
	respond "hello"
}
`},
			TCP: []uint16{8443}, UDP: []uint16{8443},
		},
		"etcd": {
			Program: "etcd", Args: []string{"--data-dir", "{dir}/data", "--listen-client-urls", "http://0.0.0.0:2379", "--advertise-client-urls", "http://{addr}:2379"},
			TCP: []uint16{2379},
		},
	}
}

// access are servers by which people use other machines and their files.
func access() map[string]Recipe {
	return map[string]Recipe{
		"sshd": {
			Program: "sshd", Args: []string{"-D", "-e", "-f", "/dev/null", "-o", "HostKey={dir}/key", "-o", "PidFile=none"},
			Prepare: []string{"mkdir -p /run/sshd", "ssh-keygen -q -t ed25519 -N '' -f {dir}/key"},
			TCP:     []uint16{22},
		},
		"xrdp": {
			Program: "xrdp", Args: []string{"-n", "-c", "{dir}/xrdp.ini"},
			Prepare: []string{
				"mkdir -p /run/xrdp",
				"openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=desk.example.test -keyout {dir}/key.pem -out {dir}/cert.pem",
				"sed 's,^certificate=.*,certificate={dir}/cert.pem,; s,^key_file=.*,key_file={dir}/key.pem,; s,^LogFile=.*,LogFile={dir}/xrdp.log,' /etc/xrdp/xrdp.ini >{dir}/xrdp.ini",
			},
			TCP: []uint16{3389},
		},
		"smbd": {
			Program: "smbd", Args: []string{"-F", "--no-process-group", "--debug-stdout", "-s", "{dir}/smb.conf"},
			Files: map[string]string{"smb.conf": `[global]
workgroup = EXAMPLE
netbios name = FILES
lock directory = {dir}/lock
state directory = {dir}/state
cache directory = {dir}/cache
private dir = {dir}/private
pid directory = {dir}/pid
ncalrpc dir = {dir}/ncalrpc
disable spoolss = yes
`, "lock/": "", "state/": "", "cache/": "", "private/": "", "pid/": "", "ncalrpc/": ""},
			TCP: []uint16{445},
		},
		"rsync": {
			Program: "rsync", Args: []string{"--daemon", "--no-detach", "--config={dir}/rsyncd.conf"},
			Files: map[string]string{"rsyncd.conf": "use chroot = no\nmotd file = {dir}/motd\n[pub]\npath = {dir}\ncomment = all of it\n[hidden]\npath = {dir}\nlist = no\n", "motd": "be gentle\n"},
			TCP:   []uint16{873},
		},
		"Xvnc": {
			Program: "Xtigervnc", Args: []string{":1", "-SecurityTypes", "VncAuth,TLSVnc", "-PasswordFile", "/run/password"},
			Prepare: []string{
				"printf '\\001\\002\\003\\004\\005\\006\\007\\010' >/run/password",
				"mkdir {dir}/tmp", "mount --bind {dir}/tmp /tmp", // it leaves a lock there
			},
			TCP: []uint16{5901},
		},
	}
}

// databases are stores of data, and caches.
func databases() map[string]Recipe {
	return map[string]Recipe{
		"mariadbd": {
			Program: "mariadbd", Args: []string{"--no-defaults", "--user=mysql", "--datadir={dir}/data", "--socket={dir}/socket", "--max-connect-errors=3", "--init-file={dir}/init.sql",
				"--ssl-cert={dir}/cert.pem", "--ssl-key={dir}/key.pem"},
			Prepare: []string{
				"openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=shop.example.test -keyout {dir}/key.pem -out {dir}/cert.pem",
				"chown mysql {dir}/key.pem",
				"mariadb-install-db --no-defaults --user=mysql --skip-test-db --datadir={dir}/data --auth-root-authentication-method=normal",
				"mount --bind {dir}/hosts /etc/hosts"}, // it counts errors of hosts only whose names it finds
			Files: map[string]string{"hosts": "127.0.0.1 localhost\n192.0.2.1 one.example.test\n192.0.2.2 two.example.test\n",
				"init.sql": "create user 'shop'@'%' identified by 'secret';\n"},
			Owner: "mysql",
			TCP:   []uint16{3306},
		},
		"postgres": {
			Program: "setpriv", Args: []string{"--reuid", "postgres", "--regid", "postgres", "--clear-groups", "{dir}/bin/postgres", "-D", "{dir}/data",
				"-c", "listen_addresses=*", "-c", "unix_socket_directories={dir}", "-c", "ssl=on", "-c", "ssl_cert_file={dir}/cert.pem", "-c", "ssl_key_file={dir}/key.pem"},
			Files: map[string]string{"secret": "secret\n"},
			Owner: "postgres",
			Prepare: []string{
				"ln -s /usr/lib/postgresql/*/bin {dir}/bin",
				"openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=db.example.test -keyout {dir}/key.pem -out {dir}/cert.pem",
				"chown postgres {dir}/key.pem",
				"setpriv --reuid postgres --regid postgres --clear-groups {dir}/bin/initdb --no-sync --no-locale -A scram-sha-256 --pwfile={dir}/secret -D {dir}/data",
			},
			TCP: []uint16{5432},
		},
		"redis": {
			Program: "redis-server", Args: []string{"--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", "{dir}"},
			TCP: []uint16{6379},
		},
		"redis with a password": {
			Program: "redis-server", Args: []string{"--bind", "0.0.0.0", "--requirepass", "secret", "--save", "", "--dir", "{dir}"},
			TCP: []uint16{6379},
		},
		"memcached": {
			Program: "memcached", Args: []string{"-u", "nobody", "-U", "11211"},
			TCP: []uint16{11211}, UDP: []uint16{11211},
		},
	}
}

// brokers pass messages on.
func brokers() map[string]Recipe {
	return map[string]Recipe{
		"mosquitto": {
			Program: "mosquitto", Args: []string{"-c", "{dir}/mosquitto.conf"},
			Files: map[string]string{"mosquitto.conf": "user root\nlistener 1883\nallow_anonymous true\nlistener 1884\n"},
			TCP:   []uint16{1883},
		},
		"nats": {
			Program: "nats-server", Args: []string{"-a", "0.0.0.0", "-n", "hub"},
			TCP: []uint16{4222},
		},
	}
}

// infrastructure are servers of time, names, authentication, calls and things.
func infrastructure() map[string]Recipe {
	return map[string]Recipe{
		"chronyd": {
			Program: "chronyd", Args: []string{"-d", "-x", "-U", "-u", "root", "-f", "/dev/null", "allow all", "local stratum 8", "cmdport 0", "pidfile {dir}/pid", "bindcmdaddress /"},
			UDP: []uint16{123},
		},
		"avahi": {
			Program: "avahi-daemon", Args: []string{"-f", "{dir}/avahi.conf", "--no-drop-root", "--no-chroot", "--no-rlimits"},
			Files:   map[string]string{"avahi.conf": "[server]\nhost-name=printer\nenable-dbus=no\nallow-interfaces=lo\n[publish]\npublish-workstation=yes\n"},
			Prepare: []string{"ip link set lo multicast on"},
			UDP:     []uint16{5353},
		},
		"turnserver": {
			Program: "turnserver", Args: []string{"-n", "-L", "0.0.0.0", "-p", "3478", "--no-tls", "--no-dtls", "--no-cli", "-z", "--pidfile", "{dir}/pid", "--log-file", "stdout"},
			TCP: []uint16{3478}, UDP: []uint16{3478},
		},
		"kamailio": {
			Program: "kamailio", Args: []string{"-DD", "-E", "-f", "{dir}/kamailio.cfg", "-Y", "{dir}"},
			Files: map[string]string{"kamailio.cfg": `children=1
listen=udp:0.0.0.0:5060
listen=tcp:0.0.0.0:5060
server_header="Server: exchange of the test"
loadmodule "sl.so"
request_route { if (method=="OPTIONS") { sl_send_reply("200", "Keepalive"); } exit; }
`},
			TCP: []uint16{5060}, UDP: []uint16{5060},
		},
		"freeradius": {
			Program: "freeradius", Args: []string{"-f", "-l", "stdout"},
			UDP: []uint16{1812, 1813},
		},
		"coap": {
			Program: "coap-server-notls", Args: []string{"-A", "0.0.0.0", "-p", "5683"},
			UDP: []uint16{5683},
		},
		"modbus": {
			Program: "/usr/bin/python3", Args: []string{"{dir}/modbus.py"}, // Debian's own, which has the package
			Files: map[string]string{"modbus.py": `from pymodbus.server import StartTcpServer
from pymodbus.datastore import ModbusServerContext, ModbusSlaveContext
from pymodbus.device import ModbusDeviceIdentification
i = ModbusDeviceIdentification()
i.VendorName, i.ProductCode, i.MajorMinorRevision = "Example", "PLC-7", "1.2"
StartTcpServer(context=ModbusServerContext(slaves=ModbusSlaveContext(), single=True), identity=i, address=("0.0.0.0", 502))
`},
			TCP: []uint16{502},
		},
	}
}
