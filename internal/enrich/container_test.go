package enrich

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

func TestDescribeContainers(t *testing.T) {
	const bundle = "run/containerd/io.containerd.runtime.v2.task/"
	const cri = `"io.kubernetes.cri.container-name":"app","io.kubernetes.cri.container-type":"container","io.kubernetes.cri.sandbox-name":"web-1",` +
		`"io.kubernetes.cri.sandbox-namespace":"prod","io.kubernetes.cri.image-name":"reg/app:1"`
	const dockerFile = `{"ID":"` + id64 + `","Name":"/web","Config":{"Image":"nginx:1.25","Env":["PASSWORD=x"]},"Image":"sha256:aa"}`
	docker := activity.Container{Runtime: "docker", ID: id64, Name: "web", Image: "nginx:1.25"}
	pod := activity.Container{Runtime: "containerd", ID: id64, Name: "app", Image: "reg/app:1", Pod: "prod/web-1"}
	const rootless = "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id64 + ".scope"
	tests := []struct {
		name    string
		files   map[string]string
		in      activity.Container
		cgroup  string
		want    activity.Container
		unknown bool
	}{
		{"docker", map[string]string{"var/lib/docker/containers/" + id64 + "/config.v2.json": dockerFile},
			activity.Container{Runtime: "docker", ID: id64}, "", docker, false},
		{"docker elsewhere", map[string]string{"etc/docker/daemon.json": `{"data-root":"/srv/d"}`, "srv/d/containers/" + id64 + "/config.v2.json": dockerFile},
			activity.Container{Runtime: "docker", ID: id64}, "", docker, false},
		{"docker, another's file", map[string]string{"var/lib/docker/containers/" + id64 + "/config.v2.json": `{"ID":"other","Name":"/x"}`},
			activity.Container{Runtime: "docker", ID: id64}, "", activity.Container{}, true},
		{"docker, broken file", map[string]string{"var/lib/docker/containers/" + id64 + "/config.v2.json": `{"ID":`},
			activity.Container{Runtime: "docker", ID: id64}, "", activity.Container{}, true},
		{"docker, no file", nil, activity.Container{Runtime: "docker", ID: id64}, "", activity.Container{}, true},
		{"containerd", map[string]string{bundle + "k8s.io/" + id64 + "/config.json": `{"annotations":{` + cri + `}}`},
			activity.Container{Runtime: "containerd", ID: id64, Pod: podID}, "", pod, false},
		{"runtime not said", map[string]string{bundle + "k8s.io/" + id64 + "/config.json": `{"annotations":{` + cri + `}}`},
			activity.Container{ID: id64, Pod: podID}, "", pod, false},
		{"docker by its bundle", map[string]string{bundle + "moby/" + id64 + "/config.json": `{}`, "var/lib/docker/containers/" + id64 + "/config.v2.json": dockerFile},
			activity.Container{ID: id64}, "", docker, false},
		{"pause", map[string]string{bundle + "k8s.io/" + id64 + "/config.json": `{"annotations":{"io.kubernetes.cri.container-type":"sandbox",` +
			`"io.kubernetes.cri.sandbox-name":"web-1","io.kubernetes.cri.sandbox-namespace":"prod"}}`},
			activity.Container{Runtime: "containerd", ID: id64}, "", activity.Container{Runtime: "containerd", ID: id64, Name: "pause", Pod: "prod/web-1"}, false},
		{"no annotations", map[string]string{bundle + "default/" + id64 + "/config.json": `{"process":{"env":["PASSWORD=x"]}}`},
			activity.Container{Runtime: "containerd", ID: id64}, "", activity.Container{Runtime: "containerd", ID: id64}, false},
		{"cri-o", map[string]string{"run/containers/storage/overlay-containers/" + id64 + "/userdata/config.json": `{"annotations":{"io.kubernetes.pod.name":"web-1",` +
			`"io.kubernetes.pod.namespace":"prod","io.kubernetes.container.name":"app","io.kubernetes.cri-o.ImageName":"reg/app:1"}}`},
			activity.Container{Runtime: "cri-o", ID: id64}, "", activity.Container{Runtime: "cri-o", ID: id64, Name: "app", Image: "reg/app:1", Pod: "prod/web-1"}, false},
		{"podman", map[string]string{"var/lib/containers/storage/overlay-containers/containers.json": `[{"id":"x"},{"id":"` + id64 +
			`","names":["web"],"metadata":"{\"image-name\":\"docker.io/nginx:1\",\"name\":\"web\"}"}]`},
			activity.Container{Runtime: "podman", ID: id64}, "/machine.slice/libpod-" + id64 + ".scope",
			activity.Container{Runtime: "podman", ID: id64, Name: "web", Image: "docker.io/nginx:1"}, false},
		{"podman, rootless", map[string]string{"etc/passwd": passwd, "home/bob/.local/share/containers/storage/vfs-containers/volatile-containers.json": `[{"id":"` + id64 + `","names":["mine"]}]`},
			activity.Container{Runtime: "podman", ID: id64}, rootless, activity.Container{Runtime: "podman", ID: id64, Name: "mine"}, false},
		{"podman, user without home", map[string]string{"var/lib/containers/storage/overlay-containers/containers.json": `[{"id":"` + id64 + `","names":["wrong"]}]`},
			activity.Container{Runtime: "podman", ID: id64}, rootless, activity.Container{}, true},
		{"lxc", nil, activity.Container{Runtime: "lxc", ID: "web", Name: "web"}, "", activity.Container{}, true},
		{"hostile id", map[string]string{"secret/config.v2.json": `{"ID":"../../../../secret"}`},
			activity.Container{Runtime: "docker", ID: "../../../../secret"}, "", activity.Container{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			dir := tree(t, tt.files)
			s := newContainers(dir, newUsers(dir, c.now), c.now)
			want := tt.want
			if tt.unknown {
				want = tt.in
			}
			for range 2 {
				if d := cmp.Diff(want, s.describe(tt.in, tt.cgroup)); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

func TestContainerAppearsLater(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	s := newContainers(dir, newUsers(dir, c.now), c.now)
	in := activity.Container{Runtime: "docker", ID: id64}
	s.describe(in, "")
	write(t, dir, map[string]string{"var/lib/docker/containers/" + id64 + "/config.v2.json": `{"ID":"` + id64 + `","Name":"/web"}`})
	if got := s.describe(in, ""); got != in {
		t.Errorf("looked again at once: %+v", got)
	}
	c.advance(containerRetry)
	if got := s.describe(in, ""); got.Name != "web" {
		t.Errorf("later: %+v", got)
	}
}

func FuzzContainerFiles(f *testing.F) {
	f.Add([]byte(`{"ID":"x","annotations":{"a":"b"}}`))
	f.Add([]byte(`[{"id":"` + id64 + `","names":[],"metadata":"{"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := tree(t, map[string]string{
			"var/lib/docker/containers/" + id64 + "/config.v2.json":                           string(b),
			"run/containerd/io.containerd.runtime.v2.task/k8s.io/" + id64 + "/config.json":    string(b),
			"var/lib/containers/storage/overlay-containers/containers.json":                   string(b),
			"var/lib/containers/storage/overlay-containers/" + id64 + "/userdata/config.json": string(b),
			"etc/docker/daemon.json": string(b),
		})
		for _, runtime := range [...]string{"docker", "containerd", "podman", "cri-o", ""} {
			s := newContainers(dir, newUsers(dir, time.Now), time.Now)
			in := activity.Container{Runtime: runtime, ID: id64}
			if got := s.describe(in, ""); got.ID != id64 || runtime != "" && got.Runtime != runtime {
				t.Errorf("%s: %+v", runtime, got)
			}
		}
	})
}
