package test

import (
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStaticBinary looks at the binary that make build makes: the whole of the
// container image.
func TestStaticBinary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary := filepath.Join(dir, "sluice")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "../cmd/sluice")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	t.Run("needs no library", func(t *testing.T) { needsNoLibrary(t, binary) })
	t.Run("bill of materials", func(t *testing.T) { billOfMaterials(t, binary) })
	t.Run("alone in an empty root", func(t *testing.T) { aloneInAnEmptyRoot(t, binary) })
}

// needsNoLibrary finds neither a dynamic loader nor shared libraries asked for
// (elf(5): PT_INTERP, DT_NEEDED).
func needsNoLibrary(t *testing.T, binary string) {
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP || program.Type == elf.PT_DYNAMIC {
			t.Errorf("it has a %v header", program.Type)
		}
	}
	if libraries, err := file.ImportedLibraries(); len(libraries) > 0 {
		t.Errorf("it needs %v (%v)", libraries, err)
	}
}

// billOfMaterials compares what scripts/sbom prints with what the toolchain has
// put into the binary.
func billOfMaterials(t *testing.T, binary string) {
	out, err := exec.Command("../scripts/sbom", binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	var bill struct {
		BOMFormat  string
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(out, &bill); err != nil {
		t.Fatalf("%v in:\n%s", err, out)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"std": strings.TrimPrefix(info.GoVersion, "go")}
	for _, module := range info.Deps {
		want[module.Path] = module.Version
	}
	for _, c := range bill.Components {
		if want[c.Name] != c.Version || !strings.HasPrefix(c.PURL, "pkg:golang/"+c.Name+"@") {
			t.Errorf("%+v, want version %q", c, want[c.Name])
		}
		delete(want, c.Name)
	}
	if len(want) > 0 || bill.BOMFormat != "CycloneDX" {
		t.Errorf("%q without %v", bill.BOMFormat, want)
	}
}

// aloneInAnEmptyRoot is a container from scratch without a container runtime:
// no library, no shell, no /etc, /proc, /sys or /dev, uid 1337.
func aloneInAnEmptyRoot(t *testing.T, binary string) {
	w := newWorld(t)
	serveGreeting(w, w.pod, "0.0.0.0:7000")
	serveGreeting(w, w.remote, "0.0.0.0:7000")
	w.applyRules(redirect)
	root, err := os.MkdirTemp(w.net.Dir(), "root-")
	if err == nil {
		err = os.Chmod(root, 0o777) // for the access log
	}
	if err != nil {
		t.Fatal(err)
	}
	// Not by this process: a child that another test is just starting would have the file
	// open for writing, and then nobody may execute it.
	if out, err := exec.Command("install", "-m", "755", binary, filepath.Join(root, "sluice")).CombinedOutput(); err != nil {
		t.Fatalf("copy the binary: %v\n%s", err, out)
	}
	text := strings.ReplaceAll(sidecarText(settings{mode: redirect}), "$LOG", "/access.log")
	if err := os.WriteFile(filepath.Join(root, "sluice.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	inRoot := func(args ...string) []string {
		return append([]string{"--userspec=1337:1337", "--groups=", root, "/sluice"}, args...)
	}
	if out := w.pod.Run("chroot", inRoot("version")...); !strings.HasPrefix(out, "sluice ") {
		t.Errorf("version: %q", out)
	}
	s := &sidecar{w: w, host: w.pod, accessLog: filepath.Join(root, "access.log"), file: "/sluice.yaml"}
	s.process = w.pod.Start("chroot", inRoot("run", "-c", s.file)...)
	s.settle()
	converse(s, w.client, podIP+":7000")
	converse(s, w.pod, remoteIP+":7000")
	if status := statusOf(w, s.process.PID()); status["CapEff"] != noCapabilities {
		t.Errorf("CapEff is %s", status["CapEff"])
	}
}
