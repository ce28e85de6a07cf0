package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

//go:embed sidecar.yaml.tmpl
var sidecarTemplate string

// sidecar is sluice in the pod, capture rules included.
type sidecar struct {
	world     *world
	process   *testnet.Process
	accessLog string
	before    string // what captureState was without the rules
}

// renderConfig writes the sidecar's configuration.
func renderConfig(m mode, accessLog string) (string, error) {
	tmpl, err := template.New("sidecar").Option("missingkey=error").Parse(sidecarTemplate)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	err = tmpl.Execute(&text, struct{ Mode, AccessLog string }{string(m), accessLog})
	return text.String(), err
}

// startSidecar applies the capture rules in the pod and starts sluice there.
// It returns when the readiness port answers outside of the pod.
func startSidecar(w *world, m mode) *sidecar {
	s := &sidecar{world: w, accessLog: filepath.Join(w.net.Dir(), "access.log")}
	w.tb.Cleanup(s.explain)
	text, err := renderConfig(m, s.accessLog)
	if err != nil {
		w.tb.Fatalf("write the sidecar's configuration: %v", err)
	}
	file := filepath.Join(w.net.Dir(), "sidecar.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		w.tb.Fatalf("write the sidecar's configuration: %v", err)
	}
	s.before = captureState(w.pod)
	w.pod.Run(w.sluice, "iptables", "apply", "-p", "15001", "-z", "15006", "-u", "1337", "-g", "1337",
		"-m", m.flagValue(), "-b", "*", "-i", "*")
	user := w.pod.As(sidecarID, sidecarID, m.capabilities()...)
	s.process = user.Start(w.sluice, "run", "-c", file)
	s.process.WaitListen(15021)
	testnet.Eventually(w.tb, 10*time.Second, func() error {
		_, err := w.outside("http://" + podIP + ":15021/healthz/ready")
		return err
	})
	return s
}

// stop ends sluice as Kubernetes would, removes the rules, and checks that
// nothing of them is left.
func (s *sidecar) stop() {
	tb := s.world.tb
	if status := s.process.Stop(); status != 0 {
		tb.Errorf("sluice ended with status %d after SIGTERM; its log:\n%s", status, s.process.Log())
	}
	s.world.pod.Run(s.world.sluice, "iptables", "clean")
	if after := captureState(s.world.pod); after != s.before {
		tb.Errorf("sluice iptables clean left something behind; before apply:\n%s\nafter clean:\n%s", s.before, after)
	}
}

// explain shows the access log of a demo that failed.
func (s *sidecar) explain() {
	if !s.world.tb.Failed() {
		return
	}
	if text, err := os.ReadFile(s.accessLog); err == nil {
		s.world.tb.Logf("the sidecar's access log:\n%s", text)
	}
}

// captureState is everything of the pod that capture rules change: rules with
// a chain or jump in them, policy rules and routes. Tables that are there but
// empty do not count: only loading a table makes it appear. Nor do the routes that the
// kernel makes for each device, in its own time.
func captureState(pod *testnet.Host) string {
	var state strings.Builder
	for _, tool := range []string{"iptables-save", "ip6tables-save"} {
		for line := range strings.Lines(pod.Run(tool)) {
			if strings.HasPrefix(line, "-A") || strings.HasPrefix(line, ":ISTIO") {
				state.WriteString(tool + ": " + line)
			}
		}
	}
	for _, family := range []string{"-4", "-6"} {
		state.WriteString(pod.Run("ip", family, "rule"))
		for line := range strings.Lines(pod.Run("ip", family, "route", "show", "table", "all")) {
			if !strings.Contains(line, "fe80:") && !strings.Contains(line, "ff00::/8") {
				state.WriteString(line)
			}
		}
	}
	return state.String()
}

// outside fetches a URL of the pod from the client's host.
func (w *world) outside(url string) (string, error) {
	cmd := w.client.As(userID, userID).Command("curl", "--silent", "--show-error", "--fail", "--max-time", "5", url)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("curl %s on the client: %w: %s", url, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
