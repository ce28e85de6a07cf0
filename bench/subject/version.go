package subject

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/bench"
)

// tellTimeout bounds how long a program may take to tell its version.
const tellTimeout = 20 * time.Second

// version asks a program for its version.
func version(ctx context.Context, name, program string) (string, error) {
	flag, pattern := versionFlag(name)
	out, err := tell(ctx, program, flag)
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(pattern).FindStringSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("%s %s tells no version: %q", program, flag, strings.TrimSpace(out))
	}
	return found[1], nil
}

// versionFlag is what a program is asked by, and the form of its answer.
func versionFlag(name string) (flag, pattern string) {
	switch name {
	case bench.Sluice:
		return "version", `^sluice ([^\n]+)`
	case bench.Nginx:
		return "-v", `nginx/([^\s]+)`
	case bench.HAProxy, bench.HAProxySplice:
		return "-v", `(?i)ha-?proxy version ([^\s]+)`
	default:
		return "--version", `version: [0-9a-f]+/([^/\s]+)`
	}
}

// tell returns what a program writes to both its outputs when asked.
func tell(ctx context.Context, program, flag string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, flag).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, flag, err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// streamModule returns the file that nginx has to load to relay TCP, or "" when
// the stream module is built in. Debian has it in a package of its own.
func streamModule(ctx context.Context, program string) (string, error) {
	out, err := tell(ctx, program, "-V")
	if err != nil {
		return "", err
	}
	path, err := modulePath(out)
	if err != nil || path == "" {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("nginx lacks its stream module (Debian: libnginx-mod-stream); make bench-peers installs it: %w", err)
	}
	return path, nil
}

// modulePath reads the file of the stream module from what nginx -V prints. It
// is empty when the module is built in.
func modulePath(settings string) (string, error) {
	var dir string
	builtIn, dynamic := false, false
	for _, word := range strings.Fields(settings) {
		switch {
		case word == "--with-stream":
			builtIn = true
		case word == "--with-stream=dynamic":
			dynamic = true
		case strings.HasPrefix(word, "--modules-path="):
			_, dir, _ = strings.Cut(word, "=")
		}
	}
	switch {
	case builtIn:
		return "", nil
	case dynamic && dir != "":
		return dir + "/ngx_stream_module.so", nil
	}
	return "", errors.New("this nginx was built without its stream module: nginx -V names no --with-stream")
}
