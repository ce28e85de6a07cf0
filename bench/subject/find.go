package subject

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/sluiceproxy/sluice/bench"
)

// EnvoyVariable is the environment variable that names the Envoy to compare.
const EnvoyVariable = "SLUICEBENCH_ENVOY"

// Find returns the subjects that are on this machine, in the order of Names,
// and what has to be left out, with the reason: programs that are not there,
// and modes that a program does not have. sluice is the path of the sluice to
// measure. An error means that this one, which all is about, does not work.
func Find(ctx context.Context, sluice string) ([]*Subject, []bench.LeftOut, error) {
	var found []*Subject
	var leftOut []bench.LeftOut
	for _, name := range Names() {
		s, err := find(ctx, name, sluice)
		if err != nil {
			if name == bench.Sluice {
				return nil, nil, err
			}
			leftOut = append(leftOut, bench.LeftOut{Subject: name, Why: err.Error()})
			continue
		}
		found = append(found, s)
		for _, mode := range bench.Modes() {
			if why := s.Lacks(mode); why != "" {
				leftOut = append(leftOut, bench.LeftOut{Subject: name, Mode: mode, Why: why})
			}
		}
	}
	return found, leftOut, nil
}

// find makes out one subject. Its error is the reason to leave it out.
func find(ctx context.Context, name, sluice string) (*Subject, error) {
	if name == bench.Direct {
		return &Subject{Name: name}, nil
	}
	program, err := locate(name, sluice)
	if err != nil {
		return nil, err
	}
	s := &Subject{Name: name, Program: program}
	if s.Version, err = version(ctx, name, program); err != nil {
		return nil, err
	}
	if name == bench.Nginx {
		s.module, err = streamModule(ctx, program)
	}
	return s, err
}

// locate returns the absolute path of a subject's program.
func locate(name, sluice string) (string, error) {
	if name == bench.Sluice {
		return filepath.Abs(sluice)
	}
	if path := os.Getenv(EnvoyVariable); name == bench.Envoy && path != "" {
		return filepath.Abs(path)
	}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), directories()...) {
		path, err := exec.LookPath(filepath.Join(dir, programName(name)))
		if err == nil {
			return filepath.Abs(path)
		}
	}
	return "", errors.New("it is not on this machine; make bench-peers installs what can be had")
}

// directories are where peers are beside PATH: sbin is not in an ordinary
// user's on Debian, and scripts/install-bench-peers puts Envoy into a cache.
func directories() []string {
	dirs := []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}
	if cache, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(cache, "sluice-bench"))
	}
	return slices.Clip(dirs)
}

// Named picks the subject of a name from those that Find returned.
func Named(found []*Subject, name string) (*Subject, error) {
	for _, s := range found {
		if s.Name == name {
			return s, nil
		}
	}
	if slices.Contains(Names(), name) {
		return nil, fmt.Errorf("subject %q was not found on this machine", name)
	}
	return nil, unknown(name)
}
