package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

type iptablesResult struct {
	stdout string
	code   int
	err    error
}

func runIptables(path string, args ...string) iptablesResult {
	var stdout, stderr bytes.Buffer
	cmd := newIptablesCommand(&env{
		stdout: &stdout, stderr: &stderr,
		getenv: func(name string) string { return map[string]string{"PATH": path}[name] },
	})
	cmd.SetArgs(args)
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	err := cmd.ExecuteContext(context.Background())
	r := iptablesResult{stdout: stdout.String(), err: err}
	var exit *exitError
	if errors.As(err, &exit) {
		r.code = exit.code
	} else if err != nil {
		r.code = exitFailure
	}
	return r
}

// printCase is one combination of flags; its golden file has its name.
type printCase struct {
	name string
	args string
}

func printCases() []printCase {
	return []printCase{
		{"default", "--ipv6 off"},
		{"default-ipv6", "--ipv6 on"},
		{"long-names", "--ipv6 off --envoy-port 25001 --inbound-capture-port 25006 --proxy-uid 7 --proxy-gid 8" +
			" --istio-inbound-interception-mode REDIRECT --istio-inbound-ports 80 --istio-local-exclude-ports 81" +
			" --istio-service-cidr 10.0.0.0/8 --istio-service-exclude-cidr 10.1.0.0/16 --istio-outbound-ports 443" +
			" --istio-local-outbound-ports-exclude 444 --istio-exclude-interfaces tun0" +
			" --inbound-tproxy-mark 99 --inbound-tproxy-route-table 98"},
		{"short-names", "--ipv6 off -p 25001 -z 25006 -u 7 -g 8 -m REDIRECT -b 80 -d 81 -i 10.0.0.0/8 -x 10.1.0.0/16" +
			" -q 443 -o 444 -c tun0 -t 99 -r 98"},
		{"owners", "--ipv6 off -u 1337,1338 -g 1337,2000"},
		{"owner-uid-only", "--ipv6 off -u 1337 --proxy-gid="},
		{"owner-gid-only", "--ipv6 off --proxy-uid= -g 1337"},
		{"inbound-none", "--ipv6 off --istio-inbound-ports="},
		{"inbound-list", "--ipv6 off -b 80,8080"},
		{"inbound-exclude", "--ipv6 on -d 22,8081"},
		{"outbound-none", "--ipv6 off --istio-service-cidr="},
		{"outbound-cidrs", "--ipv6 on -i 10.0.0.0/8,172.16.0.0/12,fd00::/8"},
		{"outbound-cidr-one-family", "--ipv6 on -i 10.0.0.0/8"},
		{"outbound-exclude-cidrs", "--ipv6 on -x 169.254.169.254,192.168.0.0/16,fe80::/10"},
		{"outbound-loopback", "--ipv6 off -i 127.1.2.0/24"},
		{"outbound-ports", "--ipv6 off --istio-service-cidr= -q 80,443"},
		{"outbound-ports-and-cidrs", "--ipv6 on -i 10.0.0.0/8 -q 443 -x 10.9.0.0/16"},
		{"outbound-exclude-ports", "--ipv6 off -o 3306,5432"},
		{"interfaces", "--ipv6 on -c eth1,tun+"},
		{"drop-invalid", "--ipv6 on --drop-invalid"},
		{"nothing-captured", "--ipv6 off --istio-inbound-ports= --istio-service-cidr="},
		{"tproxy", "--ipv6 off -m TPROXY"},
		{"tproxy-ipv6", "--ipv6 on -m TPROXY"},
		{"tproxy-lower-case", "--ipv6 off -m tproxy"},
		{"tproxy-inbound-none", "--ipv6 off -m TPROXY --istio-inbound-ports="},
		{"tproxy-inbound-list", "--ipv6 on -m TPROXY -b 80,8080 -d 8081"},
		{"tproxy-marks", "--ipv6 on -m TPROXY -t 0x10 -r 200"},
		{"tproxy-everything", "--ipv6 on -m TPROXY --drop-invalid -c eth1 -u 1337,7 -d 22 -x 10.9.0.0/16,fd09::/16 -o 3306"},
	}
}

func TestIptablesPrintGolden(t *testing.T) {
	for _, c := range printCases() {
		t.Run(c.name, func(t *testing.T) {
			r := runIptables("/nowhere", append([]string{"print"}, strings.Fields(c.args)...)...)
			if r.err != nil {
				t.Fatal(r.err)
			}
			golden := filepath.Join("testdata", "iptables", c.name+".golden")
			got := "# sluice iptables print " + c.args + "\n" + r.stdout
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("differs from %s (go test -update rewrites it); got:\n%s", golden, got)
			}
		})
	}
}

type usageCase struct {
	name string
	args string
	want string // part of the error
}

func TestIptablesWrongUsage(t *testing.T) {
	for _, c := range []usageCase{
		{"no verb", "", "apply, pause, resume, clean or print"},
		{"argument", "print extra", "extra"},
		{"unknown flag", "print --nope", "nope"},
		{"port", "print -p 70000", "--envoy-port"},
		{"port zero", "print -z 0", "--inbound-capture-port"},
		{"same ports", "print -p 15006", "port 15006 is to capture both"},
		{"uid name", "print -u istio-proxy", "use a number"},
		{"no owner", "print --proxy-uid= --proxy-gid=", "captured again"},
		{"mode", "print -m NFT", "REDIRECT or TPROXY"},
		{"cidr", "print -i 10.0.0.0/33", "--istio-service-cidr"},
		{"excluded cidr", "print -x *", "--istio-service-exclude-cidr"},
		{"interface", "print -c eth0;reboot", "--istio-exclude-interfaces"},
		{"interface that adds a line", "print -c \"x", "--istio-exclude-interfaces"},
		{"mark", "print -m TPROXY -t 0", "TPROXY mark 0"},
		{"table", "print -m TPROXY -r 254", "belongs to the kernel"},
		{"ipv6", "print --ipv6 maybe", "auto, on or off"},
		{"apply", "apply -b 1,x", "--istio-inbound-ports"},
		{"clean takes no capture flags", "clean -m TPROXY", "m"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runIptables("/nowhere", strings.Fields(c.args)...)
			if r.err == nil || r.code != exitUsage || !strings.Contains(r.err.Error(), c.want) {
				t.Errorf("exit %d, error %v; want exit %d and %q", r.code, r.err, exitUsage, c.want)
			}
		})
	}
}

// fakeTools makes a directory with tools that stand for a host without rules
// and write what they are called with to the file calls.
func fakeTools(t *testing.T, restore string) (dir string, calls func() string) {
	t.Helper()
	dir = t.TempDir()
	log := filepath.Join(dir, "calls")
	for name, script := range map[string]string{
		"iptables-save": "", "ip6tables-save": "",
		"iptables-restore": restore, "ip6tables-restore": restore,
		"ip": "case $* in *show*) echo '[]';; esac\n",
	} {
		text := "#!/bin/sh\necho ${0##*/} $* >>" + log + "\n" + script
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir, func() string {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func TestIptablesApplyCallsTheTools(t *testing.T) {
	dir, calls := fakeTools(t, "cat >/dev/null\n")
	r := runIptables(dir, "apply", "--ipv6", "on", "-m", "TPROXY")
	if r.err != nil || r.stdout != "capture rules applied: TPROXY inbound, [IPv4 IPv6]\n" {
		t.Fatalf("stdout %q, error %v", r.stdout, r.err)
	}
	for _, want := range []string{
		"ip -4 rule add priority 1 fwmark 1337 lookup 133 protocol 133\n",
		"ip -6 route add local default dev lo table 133 proto 133\n",
		"ip -6 addr add ::6/128 dev lo",
		"iptables-restore --noflush --wait=10\n",
		"ip6tables-restore --noflush --wait=10\n",
	} {
		if !strings.Contains(calls(), want) {
			t.Errorf("no call %q in\n%s", want, calls())
		}
	}
}

func TestIptablesDryRunChangesNothing(t *testing.T) {
	dir, calls := fakeTools(t, "exit 1\n")
	r := runIptables(dir, "apply", "-n", "--ipv6", "on")
	if r.err != nil || !strings.Contains(r.stdout, "-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001") {
		t.Errorf("apply -n: %v\n%s", r.err, r.stdout)
	}
	if r := runIptables(dir, "clean", "--dry-run"); r.err != nil || r.stdout != "# nothing to do\n" {
		t.Errorf("clean --dry-run: %v\n%s", r.err, r.stdout)
	}
	if strings.Contains(calls(), "restore") || strings.Contains(calls(), " add ") {
		t.Errorf("a dry run called\n%s", calls())
	}
}

func TestIptablesPause(t *testing.T) {
	dir, calls := fakeTools(t, "cat >/dev/null\n")
	for command, want := range map[string]string{"pause": "capture rules paused\n", "resume": "capture rules resumed\n"} {
		if r := runIptables(dir, command); r.err != nil || r.stdout != want {
			t.Errorf("%s: stdout %q, error %v", command, r.stdout, r.err)
		}
		if r := runIptables(dir, command, "-n"); r.err != nil || r.stdout != "# nothing to do\n" {
			t.Errorf("%s -n: stdout %q, error %v", command, r.stdout, r.err)
		}
	}
	if strings.Contains(calls(), "restore") {
		t.Errorf("where nothing was applied it called\n%s", calls())
	}
}

func TestIptablesFailureSaysWhatTheToolPrinted(t *testing.T) {
	dir, _ := fakeTools(t, "echo 'line 2 failed: no such thing' >&2; exit 3\n")
	r := runIptables(dir, "apply", "--ipv6", "off")
	if r.code != exitFailure || !strings.Contains(r.err.Error(), "no such thing") {
		t.Errorf("exit %d, error %v", r.code, r.err)
	}
}

// TestIptablesValidationExitStatus: a check that cannot be made fails it.
func TestIptablesValidationExitStatus(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := fakeTools(t, "cat >/dev/null\n")
	r := runIptables(dir, "apply", "--run-validation", "--ipv6", "off", "--istio-service-cidr=", "-z", port)
	if r.code != exitValidation || !strings.Contains(r.err.Error(), "sluice iptables clean") {
		t.Errorf("exit %d, error %v", r.code, r.err)
	}
}

func TestIptablesProbe(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "here\n")
		_ = conn.Close()
	}()
	r := runIptables("/nowhere", "probe", l.Addr().String())
	if r.err != nil || r.stdout != "here\n" {
		t.Errorf("%q, %v", r.stdout, r.err)
	}
	_ = l.Close()
	if r := runIptables("/nowhere", "probe", l.Addr().String()); r.code != exitFailure {
		t.Errorf("with nobody there: exit %d, %v", r.code, r.err)
	}
}
