package enrich

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

const (
	id64   = "3f1c0e9a5b7d2468ace013579bdf02468ace013579bdf02468ace013579bdf00"
	podID  = "0c7d1d5e-8a5b-4c1e-9f2a-2d3e4f5a6b7c"
	podID_ = "0c7d1d5e_8a5b_4c1e_9f2a_2d3e4f5a6b7c"
)

func TestAttribute(t *testing.T) {
	unit := func(name, user string) attribution { return attribution{unit: activity.Unit{Name: name, User: user}} }
	box := func(runtime, id string) attribution {
		return attribution{container: activity.Container{Runtime: runtime, ID: id}}
	}
	named := func(runtime, id string) attribution {
		return attribution{container: activity.Container{Runtime: runtime, ID: id, Name: id}}
	}
	with := func(a attribution, unit, pod string) attribution {
		a.unit.Name, a.container.Pod = unit, pod
		return a
	}
	tests := []struct {
		name, path string
		want       attribution
	}{
		{"root", "/", attribution{}},
		{"empty", "", attribution{}},
		{"init", "/init.scope", unit("init.scope", "")},
		{"service", "/system.slice/nginx.service", unit("nginx.service", "")},
		{"template", "/system.slice/system-getty.slice/getty@tty1.service", unit("getty@tty1.service", "")},
		{"delegated", "/system.slice/web.service/payload", unit("web.service", "")},
		{"slice only", "/system.slice", unit("system.slice", "")},
		{"escaped for the kernel", "/system.slice/_cpu.service", unit("cpu.service", "")},
		{"login", "/user.slice/user-1000.slice/session-3.scope", unit("session-3.scope", "")},
		{"user manager", "/user.slice/user-1000.slice/user@1000.service/init.scope", unit("init.scope", "1000")},
		{"user unit", "/user.slice/user-1000.slice/user@1000.service/app.slice/app-fire\\x2dfox@1.service", unit("app-fire\\x2dfox@1.service", "1000")},
		{"user manager itself", "/user.slice/user-1000.slice/user@1000.service", unit("user@1000.service", "")},
		{"foreign namespace", "/../../system.slice/a.service", unit("a.service", "")},
		{"docker, systemd driver", "/system.slice/docker-" + id64 + ".scope", box("docker", id64)},
		{"docker, cgroupfs driver", "/docker/" + id64, box("docker", id64)},
		{"docker, own slice", "/docker.slice/docker-" + id64 + ".scope", box("docker", id64)},
		{"docker, systemd inside", "/system.slice/docker-" + id64 + ".scope/system.slice/in.service", with(box("docker", id64), "in.service", "")},
		{"docker daemon", "/system.slice/docker.service", unit("docker.service", "")},
		{"podman, root", "/machine.slice/libpod-" + id64 + ".scope/container", box("podman", id64)},
		{"podman, rootless", "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id64 + ".scope", box("podman", id64)},
		{"podman in a unit", "/system.slice/web.service/libpod-payload-" + id64, with(box("podman", id64), "web.service", "")},
		{"podman, cgroupfs driver", "/libpod_parent/libpod-" + id64, box("podman", id64)},
		{"podman's monitor", "/machine.slice/libpod-conmon-" + id64 + ".scope", unit("libpod-conmon-"+id64+".scope", "")},
		{"kubernetes, systemd driver", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + podID_ + ".slice/cri-containerd-" + id64 + ".scope",
			with(box("containerd", id64), "", podID)},
		{"kubernetes, guaranteed", "/kubepods.slice/kubepods-pod" + podID_ + ".slice/crio-" + id64 + ".scope", with(box("cri-o", id64), "", podID)},
		{"kubernetes, cgroupfs driver", "/kubepods/besteffort/pod" + podID + "/" + id64, with(box("", id64), "", podID)},
		{"kubernetes, static pod", "/kubepods/burstable/pod" + id64[:32] + "/" + id64, with(box("", id64), "", id64[:32])},
		{"kubernetes in docker", "/docker/" + id64 + "/kubelet/kubepods/pod" + podID + "/" + strings.Repeat("a", 64),
			with(box("", strings.Repeat("a", 64)), "", podID)},
		{"kubelet", "/system.slice/kubelet.service", unit("kubelet.service", "")},
		{"ecs", "/ecs/0123/" + id64, box("", id64)},
		{"nerdctl", "/system.slice/nerdctl-" + id64 + ".scope", box("containerd", id64)},
		{"lxc", "/lxc.payload.web1/system.slice/a.service", with(named("lxc", "web1"), "a.service", "")},
		{"lxc, old", "/lxc/web1", named("lxc", "web1")},
		{"lxc's monitor", "/lxc.monitor.web1", attribution{}},
		{"nspawn", "/machine.slice/machine-my\\x2dbox.scope/payload/system.slice/a.service", with(named("nspawn", "my-box"), "a.service", "")},
		{"nspawn by service", "/machine.slice/systemd-nspawn@box.service/payload", named("nspawn", "box")},
		{"virtual machine", "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/emulator", unit("machine-qemu\\x2d1\\x2dvm.scope", "")},
		{"almost an id", "/docker/" + id64[:63] + "g", attribution{}},
		{"hostile", "//..//\x1b[2J/\nx.service/" + strings.Repeat("/", 50), unit("\nx.service", "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, attribute(tt.path), cmp.AllowUnexported(attribution{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func FuzzAttribute(f *testing.F) {
	f.Add("/system.slice/docker-" + id64 + ".scope")
	f.Add("/machine.slice/machine-a\\x2d\\xzz.scope")
	f.Add("/kubepods/pod" + podID + "/" + id64)
	f.Fuzz(func(t *testing.T, path string) {
		a := attribute(path)
		if len(a.unit.Name) > len(path) || len(a.container.ID) > len(path) || strings.Contains(a.unit.Name, "/") {
			t.Errorf("%+v", a)
		}
		switch a.container.Runtime {
		case "lxc", "nspawn":
		default: // others' ids become file names
			if id := a.container.ID; id != "" && !isHex(id, 12) {
				t.Errorf("id %q", id)
			}
		}
	})
}
