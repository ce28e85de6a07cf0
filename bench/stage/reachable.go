package stage

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluiceproxy/sluice/bench"
)

// reachable returns a path of the program that the proxy's user may execute: in
// captured modes that is not the caller, whose home directory may be closed to
// others. There a copy is made, once.
func (s *Stage) reachable(program string) (string, error) {
	if s.mode == bench.Explicit || openToAll(program) {
		return program, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if to := s.programs[program]; to != "" {
		return to, nil
	}
	to := filepath.Join(s.dir, filepath.Base(program))
	if err := copyProgram(program, to); err != nil {
		return "", fmt.Errorf("copy %s for user %d: %w", program, proxyID, err)
	}
	s.programs[program] = to
	return to, nil
}

// openToAll says whether everybody may enter all directories of a path, links
// in it resolved, and execute the file.
func openToAll(program string) bool {
	path, err := filepath.EvalSymlinks(program)
	if err != nil {
		return false
	}
	for {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if path == filepath.Dir(path) {
			return true
		}
		path = filepath.Dir(path)
	}
}

func copyProgram(from, to string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, program, 0o755)
}
