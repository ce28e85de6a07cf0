package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/config/native"
)

// proxyUID is the uid that the capture rules leave alone.
const proxyUID = "1337"

func deployFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// accepts fails the test unless sluice knows the command and all its flags, and
// returns the value that a flag then has.
func accepts(t *testing.T, args []string, flag string) string {
	t.Helper()
	cmd, rest, err := newRootCommand(&env{stdout: io.Discard, stderr: io.Discard}).Find(args)
	if err != nil || !cmd.HasParent() {
		t.Fatalf("sluice %s: no such command (%v)", strings.Join(args, " "), err)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Fatalf("sluice %s: %v", strings.Join(args, " "), err)
	}
	if cmd.Flags().NArg() > 0 {
		t.Fatalf("sluice %s: arguments %v", strings.Join(args, " "), cmd.Flags().Args())
	}
	if f := cmd.Flags().Lookup(flag); f != nil {
		return f.Value.String()
	}
	return ""
}

// unit is a systemd unit: of each SECTION.KEY the values, in their order.
func unit(t *testing.T, name string) map[string][]string {
	t.Helper()
	values, section := make(map[string][]string), ""
	for line := range strings.Lines(deployFile(t, name)) {
		line = strings.TrimSpace(line)
		key, value, isKey := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && line[len(line)-1] == ']':
			section = line[1 : len(line)-1]
		case isKey && section != "":
			values[section+"."+key] = append(values[section+"."+key], value)
		default:
			t.Fatalf("%s: %q is no line of a unit", name, line)
		}
	}
	return values
}

func TestUnitsStartWhatExists(t *testing.T) {
	for _, name := range []string{"sluice.service", "sluice-iptables.service", "capture.conf"} {
		u, found := unit(t, name), 0
		for _, key := range []string{"ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop"} {
			for _, line := range u["Service."+key] {
				words := strings.Fields(strings.TrimLeft(line, "-+"))
				if words[0] == "/bin/kill" {
					continue
				}
				if words[0] != "/usr/local/bin/sluice" {
					t.Errorf("%s: %s=%s", name, key, line)
				}
				accepts(t, words[1:], "")
				found++
			}
		}
		if found == 0 {
			t.Errorf("%s has no commands", name)
		}
	}
}

// The unit keeps what the rest of the project relies on.
func TestUnit(t *testing.T) {
	type keyCase struct{ file, key, want string }
	for _, tc := range []keyCase{
		{"sluice.service", "Service.User", "[sluice]"},
		{"sluice.service", "Service.CapabilityBoundingSet", "[]"},
		{"sluice.service", "Service.AmbientCapabilities", "[]"},
		{"sluice.service", "Service.NoNewPrivileges", "[yes]"},
		{"sluice.service", "Service.MemoryDenyWriteExecute", "[yes]"},
		{"sluice.service", "Service.SystemCallFilter", "[@system-service ~@privileged]"},
		{"sluice.service", "Service.RestrictAddressFamilies", "[AF_INET AF_INET6 AF_UNIX AF_NETLINK]"},
		{"tproxy.conf", "Service.AmbientCapabilities", "[CAP_NET_RAW]"},
		{"tproxy.conf", "Service.CapabilityBoundingSet", "[CAP_NET_RAW]"},
		{"tproxy.conf", "Service.PrivateUsers", "[no]"},
		{"store.conf", "Service.Environment", "[SLUICE_STORE=systemd]"},
		{"store.conf", "Service.NotifyAccess", "[all]"},
		{"sluice-iptables.service", "Unit.StopWhenUnneeded", "[yes]"},
		{"sluice-iptables.service", "Unit.PartOf", "[]"}, // each crash would take the rules away
		{"sluice-iptables.service", "Unit.Requires", "[]"},
		{"capture.conf", "Unit.Wants", "[sluice-iptables.service]"},
		{"sluice.service", "Unit.StartLimitIntervalSec", "[0]"},
		{"sluice-iptables.service", "Unit.After", "[sluice.service]"},
	} {
		if got := fmt.Sprint(unit(t, tc.file)[tc.key]); got != tc.want {
			t.Errorf("%s: %s is %s, want %s", tc.file, tc.key, got, tc.want)
		}
	}
	stop, err := time.ParseDuration(unit(t, "sluice.service")["Service.TimeoutStopSec"][0])
	if drain := config.Default().Drain.Time; err != nil || stop <= drain {
		t.Errorf("systemd kills after %v (%v), and a drain may take %v", stop, err, drain)
	}
	users := strings.Fields(deployFile(t, "sysusers.conf"))
	if at := slices.Index(users, "u"); at < 0 || users[at+1] != "sluice" || users[at+2] != proxyUID {
		t.Errorf("sysusers.conf does not make the user: %v", users)
	}
	if got := accepts(t, []string{"iptables", "apply"}, "proxy-uid"); got != proxyUID {
		t.Errorf("the rules leave uid %s alone, want %s", got, proxyUID)
	}
}

// stage is one image of the Dockerfile.
type stage struct {
	from, user, expose  string
	entrypoint, command []string
}

func stages(t *testing.T) []stage {
	t.Helper()
	var all []stage
	for line := range strings.Lines(deployFile(t, "Dockerfile")) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "FROM" {
			all = append(all, stage{from: rest})
		}
		if len(all) == 0 {
			continue
		}
		last := &all[len(all)-1]
		var err error
		switch word {
		case "USER":
			last.user = rest
		case "EXPOSE":
			last.expose = rest
		case "ENTRYPOINT":
			err = json.Unmarshal([]byte(rest), &last.entrypoint)
		case "CMD":
			err = json.Unmarshal([]byte(rest), &last.command)
		}
		if err != nil {
			t.Fatalf("Dockerfile: %s: %v", line, err)
		}
	}
	return all
}

func TestDockerfile(t *testing.T) {
	all := stages(t)
	final := all[len(all)-1]
	if final.from != "scratch" || final.user != proxyUID+":"+proxyUID {
		t.Errorf("the proxy's image is from %s, as user %s", final.from, final.user)
	}
	if want := "15001 15006 15021 15090"; final.expose != want {
		t.Errorf("exposes %s, want %s", final.expose, want)
	}
	for _, s := range all[1:] {
		accepts(t, append(s.entrypoint[1:], s.command...), "")
	}
}

type container struct {
	Name, Image, RestartPolicy string
	Args                       []string
	Ports                      []struct{ ContainerPort uint16 }
	StartupProbe               *struct{ HTTPGet struct{ Port uint16 } }
	SecurityContext            struct {
		RunAsUser    uint32
		RunAsNonRoot bool
		Capabilities struct{ Drop, Add []string }
	}
}

func (c *container) accepts(t *testing.T, flag string) string {
	t.Helper()
	for _, s := range stages(t) {
		target := "sluice"
		if _, name, named := strings.Cut(s.from, " AS "); named {
			target += "-" + name
		}
		if target == c.Image {
			return accepts(t, append(s.entrypoint[1:], c.Args...), flag)
		}
	}
	t.Fatalf("container %s: the Dockerfile has no image %s", c.Name, c.Image)
	return ""
}

type manifest struct {
	Kind string
	Data map[string]string
	Spec struct {
		TerminationGracePeriodSeconds int
		InitContainers, Containers    []container
	}
}

// manifests are the documents of a file. Going by JSON, they need no
// tags: its names are matched whatever their case.
func manifests(t *testing.T, name string) map[string]manifest {
	t.Helper()
	all := make(map[string]manifest)
	for decoder := yaml.NewDecoder(strings.NewReader(deployFile(t, name))); ; {
		var document map[string]any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return all
		}
		text, failed := json.Marshal(document)
		var m manifest
		if err := errors.Join(err, failed, json.NewDecoder(bytes.NewReader(text)).Decode(&m)); err != nil {
			t.Fatal(err)
		}
		all[m.Kind] = m
	}
}

func TestKubernetes(t *testing.T) {
	all := manifests(t, "kubernetes.yaml")
	loaded, err := native.Parse("sluice.yaml", []byte(all["ConfigMap"].Data["sluice.yaml"]), native.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg, pod := loaded.Config, all["Pod"].Spec
	if grace := time.Duration(pod.TerminationGracePeriodSeconds) * time.Second; grace <= cfg.Drain.Time {
		t.Errorf("kubelet kills after %v, and a drain may take %v", grace, cfg.Drain.Time)
	}
	rules, proxy := pod.InitContainers[0], pod.InitContainers[1]
	for flag, ln := range map[string]config.Listener{"envoy-port": cfg.Listeners[0], "inbound-capture-port": cfg.Listeners[1]} {
		if port := rules.accepts(t, flag); port != fmt.Sprint(ln.Address.Port()) {
			t.Errorf("the rules lead to port %s, listener %s is on %v", port, ln.Name, ln.Address)
		}
	}
	if uid := rules.accepts(t, "proxy-uid"); uid != fmt.Sprint(proxy.SecurityContext.RunAsUser) || !proxy.SecurityContext.RunAsNonRoot {
		t.Errorf("the rules leave uid %s alone, the proxy is %+v", uid, proxy.SecurityContext)
	}
	if file := proxy.accepts(t, "config"); file != "/etc/sluice/sluice.yaml" {
		t.Errorf("the proxy reads %s", file)
	}
	if add := proxy.SecurityContext.Capabilities.Add; len(add) > 0 || proxy.RestartPolicy != "Always" {
		t.Errorf("the proxy has capabilities %v, restartPolicy %s", add, proxy.RestartPolicy)
	}
	if got := fmt.Sprint(rules.SecurityContext.Capabilities.Add); got != "[NET_ADMIN NET_RAW]" {
		t.Errorf("the rules are made with %s", got)
	}
	ready, metrics := proxy.Ports[0].ContainerPort, proxy.Ports[1].ContainerPort
	if !strings.HasSuffix(cfg.Readiness.Address, fmt.Sprint(":", ready)) || !strings.HasSuffix(cfg.Metrics.Address, fmt.Sprint(":", metrics)) ||
		proxy.StartupProbe == nil || proxy.StartupProbe.HTTPGet.Port != ready {
		t.Errorf("ports %v, readiness at %s, metrics at %s", proxy.Ports, cfg.Readiness.Address, cfg.Metrics.Address)
	}
}

// The sockets that systemd makes are those of the example configuration; others
// would be closed.
func TestSocketUnitFitsConfiguration(t *testing.T) {
	loaded, err := load("", native.Options{Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, ln := range loaded.Config.Listeners {
		known = append(known, ln.Address.String())
	}
	for _, address := range unit(t, "sluice.socket")["Socket.ListenStream"] {
		if !slices.Contains(known, address) {
			t.Errorf("sluice.socket listens on %s, the configuration on %v", address, known)
		}
	}
}

// The container that keeps the sockets runs as the proxy does, and the proxy looks for
// it where it listens.
func TestKubernetesHold(t *testing.T) {
	containers := manifests(t, "kubernetes-hold.yaml")["Pod"].Spec.InitContainers
	proxy := manifests(t, "kubernetes.yaml")["Pod"].Spec.InitContainers[1]
	if len(containers) != 2 || containers[1].Name != proxy.Name {
		t.Fatalf("the containers are %+v", containers)
	}
	holder := containers[0]
	socket := holder.accepts(t, "socket")
	if !strings.Contains(deployFile(t, "kubernetes-hold.yaml"), fmt.Sprintf("{name: SLUICE_STORE, value: %q}", socket)) {
		t.Errorf("the proxy does not look for the holder at %s", socket)
	}
	if !reflect.DeepEqual(holder.SecurityContext, proxy.SecurityContext) || holder.Image != proxy.Image || holder.RestartPolicy != "Always" {
		t.Errorf("the holder is %+v, the proxy %+v", holder, proxy)
	}
}
