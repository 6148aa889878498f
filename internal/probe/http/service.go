package http

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
)

// service is a service that is asked by HTTP: one request, and who reads the
// answer. read fails when the answer is not of this service.
type service struct {
	protocol string
	ports    []probe.Port
	path     string
	header   map[string]string
	body     string // not empty: POST
	read     func(*response, *probe.Answer) (string, error)
}

// errOther: it is HTTP, and another service.
var errOther = fmt.Errorf("a web server, but not this service: %w", probe.ErrProtocol)

// Services makes the probers of services that speak HTTP.
func Services() []Prober {
	var all []Prober
	for _, s := range []service{
		{protocol: "elasticsearch", path: "/", read: elasticsearch, ports: tcp("elasticsearch", 9200)},
		{protocol: "etcd", path: "/version", read: etcd, ports: tcp("etcd-client", 2379)},
		{protocol: "docker", path: "/version", read: docker, ports: tcp("docker", 2375, 2376)},
		{protocol: "kubernetes", path: "/version", read: kubernetes, ports: tcp("kubernetes", 6443, 10250, 10257, 10259)},
		{protocol: "winrm", path: "/wsman", read: winrm, ports: tcp("wsman", 5985, 5986), body: identify,
			header: map[string]string{"WSMANIDENTIFY": "unauthenticated", "Content-Type": "application/soap+xml;charset=UTF-8"}},
	} {
		all = append(all, Prober{&s})
	}
	return all
}

func tcp(name string, ports ...uint16) (all []probe.Port) {
	for _, p := range ports {
		all = append(all, probe.Port{Proto: probe.TCP, Port: p, Name: name})
	}
	return all
}

// elasticsearch reads GET / of Elasticsearch and of OpenSearch.
func elasticsearch(r *response, a *probe.Answer) (string, error) {
	var v struct {
		Name    string `json:"name"`
		Cluster string `json:"cluster_name"`
		UUID    string `json:"cluster_uuid"`
		Version struct {
			Number       string `json:"number"`
			Distribution string `json:"distribution"`
			Lucene       string `json:"lucene_version"`
		} `json:"version"`
		Tagline string `json:"tagline"`
	}
	product := r.Header.Get("X-Elastic-Product")
	if denied(r.StatusCode) && (product != "" || strings.Contains(r.Header.Get("WWW-Authenticate"), `realm="security"`)) {
		a.Add("status", r.Status)
		a.Add("www-authenticate", r.Header.Values("WWW-Authenticate")...)
		return "Elasticsearch, " + r.Status, nil
	}
	if json.Unmarshal(r.body, &v) != nil || v.Cluster == "" || v.Version.Number == "" {
		return "", errOther
	}
	add(a, "name", v.Name, "cluster_name", v.Cluster, "cluster_uuid", v.UUID, "version", v.Version.Number,
		"distribution", v.Version.Distribution, "lucene_version", v.Version.Lucene, "tagline", v.Tagline)
	what := "Elasticsearch"
	if v.Version.Distribution != "" {
		what = v.Version.Distribution
	}
	return fmt.Sprintf("%s %s, cluster %s", what, v.Version.Number, v.Cluster), nil
}

// etcd reads GET /version.
func etcd(r *response, a *probe.Answer) (string, error) {
	var v struct {
		Server  string `json:"etcdserver"`
		Cluster string `json:"etcdcluster"`
	}
	if json.Unmarshal(r.body, &v) != nil || v.Server == "" {
		return "", errOther
	}
	add(a, "etcdserver", v.Server, "etcdcluster", v.Cluster)
	return "etcd " + v.Server, nil
}

// docker reads GET /version of the Engine API, which Podman has too.
func docker(r *response, a *probe.Answer) (string, error) {
	var v struct {
		Platform      struct{ Name string }
		Version       string
		APIVersion    string `json:"ApiVersion"`
		MinAPIVersion string
		OS            string `json:"Os"`
		Arch          string
		KernelVersion string
	}
	if json.Unmarshal(r.body, &v) != nil || v.APIVersion == "" || v.Version == "" {
		return "", errOther
	}
	add(a, "platform", v.Platform.Name, "version", v.Version, "apiVersion", v.APIVersion, "minAPIVersion", v.MinAPIVersion,
		"os", v.OS, "arch", v.Arch, "kernelVersion", v.KernelVersion)
	return fmt.Sprintf("Docker API %s, version %s, open to anyone", v.APIVersion, v.Version), nil
}

// kubernetes reads GET /version of an API server, or how one, or a kubelet,
// turns strangers away.
func kubernetes(r *response, a *probe.Answer) (string, error) {
	var v struct {
		GitVersion string `json:"gitVersion"`
		Platform   string `json:"platform"`
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
		Reason     string `json:"reason"`
		Message    string `json:"message"`
	}
	switch {
	case json.Unmarshal(r.body, &v) == nil && v.GitVersion != "":
		add(a, "gitVersion", v.GitVersion, "platform", v.Platform)
		return "Kubernetes " + v.GitVersion, nil
	case v.Kind == "Status" && v.APIVersion == "v1" && v.Reason != "":
		add(a, "status", r.Status, "reason", v.Reason, "message", v.Message)
		return "Kubernetes, " + v.Reason, nil
	case r.TLS != nil && r.StatusCode == http.StatusUnauthorized && strings.TrimSpace(string(r.body)) == "Unauthorized" && r.Header.Get("Server") == "":
		add(a, "status", r.Status)
		return "answers as a kubelet does, " + r.Status, nil
	}
	return "", errOther
}

// identify is WS-Management's question for who is there, without credentials
// (DSP0226 section 11).
const identify = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"><s:Header/><s:Body><wsmid:Identify/></s:Body></s:Envelope>`

// winrm reads the answer to identify, or the demand for credentials.
func winrm(r *response, a *probe.Answer) (string, error) {
	var v struct {
		Body struct {
			Response struct {
				Protocol string `xml:"ProtocolVersion"`
				Vendor   string `xml:"ProductVendor"`
				Version  string `xml:"ProductVersion"`
			} `xml:"IdentifyResponse"`
		} `xml:"Body"`
	}
	err := xml.Unmarshal(r.body, &v)
	id := v.Body.Response
	switch {
	case err == nil && id.Protocol != "":
		add(a, "protocolVersion", id.Protocol, "productVendor", id.Vendor, "productVersion", id.Version)
		return strings.Join(nonEmpty("WS-Management", id.Vendor, id.Version), ", "), nil
	case r.StatusCode == http.StatusUnauthorized && negotiates(r.Header.Values("WWW-Authenticate")):
		a.Add("status", r.Status)
		a.Add("www-authenticate", r.Header.Values("WWW-Authenticate")...)
		add(a, "server", r.Header.Get("Server"))
		return "WS-Management, asks for " + strings.Join(r.Header.Values("WWW-Authenticate"), ", "), nil
	}
	return "", errOther
}

// negotiates tells Windows's own ways to authenticate.
func negotiates(schemes []string) bool {
	for _, s := range schemes {
		if s == "Negotiate" || s == "Kerberos" || s == "NTLM" || strings.Contains(s, "WSMAN") {
			return true
		}
	}
	return false
}

// add adds the pairs of name and value that have a value.
func add(a *probe.Answer, pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			a.Add(pairs[i], pairs[i+1])
		}
	}
}

func nonEmpty(words ...string) (some []string) {
	for _, w := range words {
		if w != "" {
			some = append(some, w)
		}
	}
	return some
}
