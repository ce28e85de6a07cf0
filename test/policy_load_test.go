package test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadRulesStopTheLoad: rules that are not understood, or that no connection
// can meet, are an error with its line, for validate and run alike.
func TestBadRulesStopTheLoad(t *testing.T) {
	t.Parallel()
	const before, after = "listeners:\n- name: l\n  address: 127.0.0.1:15006\n  default_filter_chain:\n    rbac:\n      action: deny\n      policies:\n", `
    tcp_proxy: {cluster: a}
clusters:
- {name: a, type: original_dst}
`
	for _, tc := range []struct{ name, policy, says string }{
		{"unknown field", "{name: p, source_ips: [10.0.0.0/8], headers: {}}", ":8: listeners[0].default_filter_chain.rbac.policies[0].headers: unknown key"},
		{"identity", "{name: p, any: true, principals: [x]}", ":8: listeners[0].default_filter_chain.rbac.policies[0].principals: not supported yet"},
		{"never", "{name: p, source_ips: [10.0.0.0/8], not_source_ips: [10.0.0.0/9, 10.128.0.0/9]}",
			`:8: listeners[0].default_filter_chain.rbac.policies[0].not_source_ips: policy "p": has all of source_ips`},
		{"nobody looks", "{name: p, server_names: [a.example]}", ":8: listeners[0].default_filter_chain.rbac.policies[0].server_names: needs tls_inspector"},
	} {
		file := filepath.Join(t.TempDir(), "sluice.yaml")
		if err := os.WriteFile(file, []byte(before+"      - "+tc.policy+after), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"validate", "run"} {
			out, err := exec.Command("timeout", "20", os.Getenv(binaryVar), command, "-c", file).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), file+tc.says) {
				t.Errorf("%s: sluice %s ends with %v and says %s", tc.name, command, err, out)
			}
		}
	}
}
