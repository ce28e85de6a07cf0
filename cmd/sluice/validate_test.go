package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/config"
)

// surroundings is an env whose output a test can read.
type surroundings struct {
	env
	out, errOut bytes.Buffer
}

func newSurroundings(environ ...string) *surroundings {
	s := &surroundings{}
	s.env = env{
		stdout: &s.out, stderr: &s.errOut, stdin: &bytes.Buffer{},
		getenv: func(name string) string {
			for _, variable := range environ {
				if len(variable) > len(name) && variable[:len(name)+1] == name+"=" {
					return variable[len(name)+1:]
				}
			}
			return ""
		},
		environ: func() []string { return environ },
	}
	return s
}

// runCommand runs a command and returns its exit code and what main would print.
func runCommand(cmd *cobra.Command, args ...string) (int, string) {
	cmd.SetArgs(args)
	err := cmd.Execute()
	var exit *exitError
	switch {
	case err == nil:
		return 0, ""
	case errors.As(err, &exit):
		return exit.code, exit.Error()
	}
	return -1, err.Error()
}

func TestValidateCommand(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml")
	for file, text := range map[string]string{good: "log: {level: debug}\n", bad: "limts: {}\nlog: {level: loud}\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	missing := filepath.Join(dir, "missing.yaml")
	refuse := func(*config.Config) config.Problems {
		return config.Problems{{Path: "log.level", Message: "is not mine"}}
	}
	type validateCase struct {
		name          string
		args, environ []string
		prepare       func(*config.Config) config.Problems
		code          int
		out, errOut   string
		returned      string
	}
	for _, tc := range []validateCase{
		{name: "good", args: []string{"-c", good}, out: "OK\n"},
		{name: "from the environment", environ: []string{"SLUICE_CONFIG=" + good}, out: "OK\n"},
		{name: "bad", args: []string{"--config", bad}, code: 1, errOut: bad + ":1: limts: unknown key, did you mean limits?\n" +
			bad + ":2: log.level: must be one of debug, info, warn, error, not \"loud\"\n"},
		{name: "bad variable", args: []string{"-c", good}, environ: []string{"SLUICE_DRAIN_TIME=x"}, code: 1,
			errOut: "SLUICE_DRAIN_TIME: drain.time: must be a duration with a unit, such as 250ms, 5s or 1h30m, not \"x\"\n"},
		{name: "prepare", args: []string{"-c", good}, prepare: refuse, code: 1, errOut: good + ":1: log.level: is not mine\n"},
		{name: "missing", args: []string{"-c", missing}, code: 1, errOut: "reading the configuration: open " + missing + ": no such file or directory\n"},
		{name: "no file", code: 2, returned: "which configuration? Give it with --config FILE, or in SLUICE_CONFIG"},
		{name: "argument", args: []string{good}, code: 2, returned: "unexpected argument \"" + good + "\" (validate --help shows what is allowed)"},
		{name: "flag", args: []string{"--nope"}, code: 2, returned: "unknown flag: --nope (validate --help shows what is allowed)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSurroundings(tc.environ...)
			s.prepare = tc.prepare
			args := tc.args
			if args == nil {
				args = []string{}
			}
			code, returned := runCommand(newValidateCommand(&s.env), args...)
			if code != tc.code || s.out.String() != tc.out || s.errOut.String() != tc.errOut || returned != tc.returned {
				t.Errorf("exit %d, out %q, err %q, returned %q\nwant %d, %q, %q, %q", code, &s.out, &s.errOut, returned, tc.code, tc.out, tc.errOut, tc.returned)
			}
		})
	}
}
