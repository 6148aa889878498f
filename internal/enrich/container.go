package enrich

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Bounds of the files of container runtimes.
const (
	maxContainerFile = 1 << 20 // one container
	maxStorageFile   = 4 << 20 // Podman's list of all
)

// containerRetry is how long a container that no file told of is not looked for
// again.
const containerRetry = 30 * time.Second

// containers names containers by the files that their runtimes keep: no socket
// is opened and no daemon asked. Only names, images and pods are decoded; the
// files also hold environments, which are not.
type containers struct {
	root  string
	users *users
	now   func() time.Time
	known *lru[string, containerText] // by id
}

type containerText struct {
	container activity.Container
	found     bool
	read      time.Time
}

func newContainers(root string, u *users, now func() time.Time) *containers {
	return &containers{root: root, users: u, now: now, known: newLRU[string, containerText](cacheContainers)}
}

// describe adds name, image, pod and, where the cgroup did not say it, runtime.
func (s *containers) describe(c activity.Container, cgroup string) activity.Container {
	if !isHex(c.ID, 12) {
		return c // LXC and nspawn have names only
	}
	now := s.now()
	t, ok := s.known.get(c.ID)
	if !ok || !t.found && now.Sub(t.read) >= containerRetry {
		t.container, t.found = s.read(c, cgroup)
		t.read = now
		s.known.put(c.ID, t)
	}
	if !t.found {
		return c
	}
	return t.container
}

func (s *containers) read(c activity.Container, cgroup string) (activity.Container, bool) {
	switch c.Runtime {
	case "docker":
		return s.docker(c)
	case "podman":
		return s.podman(c, cgroup)
	case "containerd":
		return s.containerd(c)
	case "cri-o":
		return s.crio(c)
	}
	for _, look := range [...]func(activity.Container) (activity.Container, bool){s.containerd, s.crio, s.docker} {
		if d, ok := look(c); ok {
			return d, true
		}
	}
	return c, false
}

// decode reads a JSON file into v, which names the few fields wanted.
func (s *containers) decode(path string, limit int64, v any) bool {
	data, err := readBounded(filepath.Join(s.root, path), limit)
	return err == nil && json.Unmarshal(data, v) == nil
}

// docker reads /var/lib/docker/containers/ID/config.v2.json, or the same
// beneath the data-root of /etc/docker/daemon.json.
func (s *containers) docker(c activity.Container) (activity.Container, bool) {
	daemon := struct {
		DataRoot string `json:"data-root"`
	}{"/var/lib/docker"}
	s.decode("etc/docker/daemon.json", maxContainerFile, &daemon)
	var v struct {
		ID, Name string
		Config   struct {
			Image  string
			Labels map[string]string
		}
	}
	if !s.decode(filepath.Join(daemon.DataRoot, "containers", c.ID, "config.v2.json"), maxContainerFile, &v) || v.ID != c.ID {
		return c, false
	}
	c.Runtime, c.Name, c.Image = "docker", strings.TrimPrefix(v.Name, "/"), v.Config.Image
	l := v.Config.Labels // by cri-dockerd
	return kubernetes(c, l["io.kubernetes.pod.namespace"], l["io.kubernetes.pod.name"], l["io.kubernetes.container.name"], ""), true
}

// annotations is what is read of an OCI runtime's config.json.
type annotations struct {
	Annotations map[string]string `json:"annotations"`
}

// containerd reads the OCI bundle that containerd keeps while a container runs,
// in the namespaces that Kubernetes, nerdctl and Docker use; the annotations
// are those of its CRI plugin (pkg/cri/annotations).
func (s *containers) containerd(c activity.Container) (activity.Container, bool) {
	for _, namespace := range [...]string{"k8s.io", "default", "moby"} {
		var v annotations
		path := filepath.Join("run/containerd/io.containerd.runtime.v2.task", namespace, c.ID, "config.json")
		if !s.decode(path, maxContainerFile, &v) {
			continue
		}
		if namespace == "moby" {
			return s.docker(c)
		}
		a := v.Annotations
		c.Runtime = "containerd"
		const cri = "io.kubernetes.cri."
		if a[cri+"container-type"] == "sandbox" {
			a[cri+"container-name"] = "pause" // what holds the pod's namespaces
		}
		if a["nerdctl/name"] != "" {
			c.Name = a["nerdctl/name"]
		}
		return kubernetes(c, a[cri+"sandbox-namespace"], a[cri+"sandbox-name"], a[cri+"container-name"], a[cri+"image-name"]), true
	}
	return c, false
}

// crio reads the OCI bundle that CRI-O keeps in its storage.
func (s *containers) crio(c activity.Container) (activity.Container, bool) {
	for _, storage := range [...]string{"run/containers/storage", "var/lib/containers/storage"} {
		var v annotations
		if s.decode(filepath.Join(storage, "overlay-containers", c.ID, "userdata/config.json"), maxContainerFile, &v) {
			a := v.Annotations
			if a["io.kubernetes.pod.name"] == "" {
				continue // Podman's
			}
			c.Runtime = "cri-o"
			return kubernetes(c, a["io.kubernetes.pod.namespace"], a["io.kubernetes.pod.name"], a["io.kubernetes.container.name"],
				a["io.kubernetes.cri-o.ImageName"]), true
		}
	}
	return c, false
}

// kubernetes sets what is not "".
func kubernetes(c activity.Container, namespace, pod, name, image string) activity.Container {
	if namespace != "" && pod != "" {
		c.Pod = namespace + "/" + pod
	}
	if name != "" {
		c.Name = name
	}
	if image != "" {
		c.Image = image
	}
	return c
}

// podman looks into the storage of root, or of the user in whose slice the
// container is (containers-storage.conf(5), graphroot).
func (s *containers) podman(c activity.Container, cgroup string) (activity.Container, bool) {
	storage := "var/lib/containers/storage"
	if uid, ok := sliceUser(cgroup); ok {
		home := s.users.home(uid)
		if home == "" {
			return c, false
		}
		storage = filepath.Join(home, ".local/share/containers/storage")
	}
	for _, driver := range [...]string{"overlay", "vfs", "btrfs"} {
		for _, list := range [...]string{"containers.json", "volatile-containers.json"} { // the latter: podman run --rm
			var v []struct {
				ID       string   `json:"id"`
				Names    []string `json:"names"`
				Metadata string   `json:"metadata"`
			}
			s.decode(filepath.Join(storage, driver+"-containers", list), maxStorageFile, &v)
			for _, e := range v {
				if e.ID != c.ID {
					continue
				}
				var m struct {
					Image string `json:"image-name"`
					Name  string `json:"name"`
				}
				_ = json.Unmarshal([]byte(e.Metadata), &m) // text within text; other tools leave it empty
				c.Name, c.Image = m.Name, m.Image
				if len(e.Names) > 0 {
					c.Name = e.Names[0]
				}
				return c, true
			}
		}
	}
	return c, false
}

// sliceUser returns the user in whose slice a cgroup is.
func sliceUser(cgroup string) (uid uint32, ok bool) {
	_, rest, ok := strings.Cut(cgroup, "/user.slice/user-")
	digits, _, found := strings.Cut(rest, ".slice")
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), ok && found && err == nil
}
