package enrich

import (
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// attribution is what the path of a cgroup tells.
type attribution struct {
	unit      activity.Unit
	container activity.Container
}

// attribute reads unit and container off the path of a cgroup, v1 or v2, as
// made by systemd (systemd.unit(5), cgroups of its units), Docker, Podman,
// containerd, CRI-O and Kubernetes with their "systemd" and "cgroupfs" drivers,
// LXC and systemd-nspawn. The innermost container counts; its unit is a service
// outside or inside of it, or none.
func attribute(path string) attribution {
	var a attribution
	var unit, slice, manager, pod, parent string
	unitManager := ""
	for len(path) > 0 {
		var c string
		c, path, _ = strings.Cut(path, "/")
		if c == "" || c == ".." {
			continue // ".." leads out of the reader's cgroup namespace
		}
		if uid := podUID(c); uid != "" {
			pod = uid
		}
		if ct, ok := containerOf(c, parent); ok {
			ct.Pod = pod
			a.container = ct
			if !strings.HasSuffix(unit, ".service") || unitManager == "" && isUserManager(unit) {
				unit = ""
			}
			if ct.Runtime == "nspawn" {
				unit = ""
			}
		} else if u := strings.TrimPrefix(c, "_"); isUnit(u) {
			unit, unitManager = u, manager
			if isUserManager(u) {
				manager = strings.TrimSuffix(strings.TrimPrefix(u, "user@"), ".service")
			}
		} else if strings.HasSuffix(u, ".slice") {
			slice = u
		}
		parent = c
	}
	switch {
	case unit != "":
		a.unit = activity.Unit{Name: unit, User: unitManager}
	case a.container.ID == "":
		a.unit = activity.Unit{Name: slice}
	}
	return a
}

// isUnit knows the kinds of units that hold processes. Slices hold units.
func isUnit(c string) bool {
	for _, suffix := range [...]string{".service", ".scope", ".socket", ".mount", ".swap"} {
		if len(c) > len(suffix) && strings.HasSuffix(c, suffix) {
			return true
		}
	}
	return false
}

// isUserManager knows the service that runs a user's own manager.
func isUserManager(unit string) bool {
	uid, ok := strings.CutPrefix(unit, "user@")
	return ok && strings.HasSuffix(uid, ".service")
}

// containerOf tells whether a directory is a container's; parent is the one
// above it.
func containerOf(c, parent string) (activity.Container, bool) {
	name := strings.TrimSuffix(c, ".scope")
	for _, p := range [...]struct{ prefix, runtime string }{
		{"docker-", "docker"}, {"cri-containerd-", "containerd"}, {"crio-", "cri-o"}, {"libpod-payload-", "podman"},
		{"libpod-", "podman"}, {"nerdctl-", "containerd"},
	} {
		if id, ok := strings.CutPrefix(name, p.prefix); ok && isHex(id, 12) {
			return activity.Container{Runtime: p.runtime, ID: id}, true
		}
	}
	if isHex(c, 64) && len(c) == 64 {
		ct := activity.Container{ID: c} // by Kubernetes, ECS and others: whose it is, is not said
		if parent == "docker" {
			ct.Runtime = "docker"
		}
		return ct, true
	}
	if n, ok := strings.CutPrefix(c, "lxc.payload."); ok && n != "" {
		return activity.Container{Runtime: "lxc", ID: n, Name: n}, true
	}
	if parent == "lxc" {
		return activity.Container{Runtime: "lxc", ID: c, Name: c}, true
	}
	return machineOf(c)
}

// machineOf knows what systemd-machined and systemd-nspawn make. Virtual
// machines are registered in the same way and are no containers.
func machineOf(c string) (activity.Container, bool) {
	n, ok := strings.CutPrefix(c, "machine-")
	if ok {
		n, ok = strings.CutSuffix(n, ".scope")
	} else if n, ok = strings.CutPrefix(c, "systemd-nspawn@"); ok {
		n, ok = strings.CutSuffix(n, ".service")
	}
	if n = unescapeUnit(n); !ok || n == "" || strings.HasPrefix(n, "qemu-") {
		return activity.Container{}, false
	}
	runtime := "nspawn"
	if strings.HasPrefix(n, "lxc-") {
		runtime = "lxc" // by libvirt
	}
	return activity.Container{Runtime: runtime, ID: n, Name: n}, true
}

// podUID returns the uid of a Kubernetes pod whose directory this is: "pod<uid>"
// or, with the systemd driver, "kubepods-burstable-pod<uid with _>.slice".
func podUID(c string) string {
	if i := strings.LastIndex(c, "-pod"); i >= 0 && strings.HasPrefix(c, "kubepods") && strings.HasSuffix(c, ".slice") {
		c = c[i+1 : len(c)-len(".slice")]
	}
	uid, ok := strings.CutPrefix(c, "pod")
	if !ok || len(uid) < 32 {
		return "" // a UUID, or the MD5 of a static pod's manifest
	}
	return strings.ReplaceAll(uid, "_", "-")
}

func isHex(s string, least int) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) >= least && len(s) <= 64
}

// unescapeUnit undoes systemd's escapes in unit names: \x2d for a dash
// (systemd.unit(5), "String Escaping for Inclusion in Unit Names").
func unescapeUnit(s string) string {
	if !strings.Contains(s, `\x`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], `\x`) && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
