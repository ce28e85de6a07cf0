package main

import (
	"os"
	"slices"
	"testing"
)

// The next process talks to the service manager too, but is not mistaken for this
// one, and does not take over where this one did.
func TestSuccessorEnviron(t *testing.T) {
	got := successorEnviron([]string{
		"PATH=/bin", "NOTIFY_SOCKET=/run/notify", "WATCHDOG_USEC=1000000", "WATCHDOG_PID=7", "LISTEN_FDS=2", "LISTEN_PID=7",
		"LISTEN_FDNAMES=a:b", upgradeFrom + "=@before", "SLUICE_LOG_LEVEL=debug", "SLUICE_TAKEOVER=/run/t",
	}, "@now")
	want := []string{"PATH=/bin", "NOTIFY_SOCKET=/run/notify", "WATCHDOG_USEC=1000000", "SLUICE_LOG_LEVEL=debug", "SLUICE_TAKEOVER=/run/t", upgradeFrom + "=@now"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestUpgradeOf(t *testing.T) {
	cases := []struct {
		name, takeover, variable string
		from, at                 string
		must                     bool
	}{
		{name: "nothing"},
		{"the first, or the next", "/run/t", "", "/run/t", "/run/t", false},
		{"started for SIGUSR2", "", "@u", "@u", "", true},
		{"started for SIGUSR2, with a socket", "/run/t", "@u", "@u", "/run/t", true},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			u := upgradeOf(tc.takeover, &env{environ: os.Environ, getenv: func(name string) string {
				if name == upgradeFrom {
					return tc.variable
				}
				return ""
			}})
			if u.From != tc.from || u.At != tc.at || u.Must != tc.must || u.Start == nil {
				t.Errorf("%+v", u)
			}
		})
	}
}
