package healthcheck

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// thresholdCase is a row of results: s success, d degraded success, f network
// failure, a active failure. After each one comes the state, h healthy, d
// degraded or u unhealthy, and whether that is . unchanged, ? pending or ! changed.
type thresholdCase struct{ name, results, want string }

// The state machine of Envoy's ActiveHealthCheckSession, with thresholds 2 to
// healthy and 3 to unhealthy.
func TestThresholds(t *testing.T) {
	for _, tc := range []thresholdCase{
		{"the first success counts at once", "s", "h!"},
		{"the first failure counts at once", "f", "u!"},
		{"a first failure needs the threshold to come back", "fss", "u!u?h!"},
		{"a failure begins the count to healthy again", "fsfss", "u!u?u.u?h!"},
		{"network failures up to the threshold", "sfff", "h!h?h?u!"},
		{"a success begins the count to unhealthy again", "sffsfff", "h!h?h?h.h?h?u!"},
		{"an answer that says no counts at once", "sa", "h!u!"},
		{"and the way back is the same", "sass", "h!u!u?h!"},
		{"degraded", "sds", "h!d!h!"},
		{"degraded from the start", "dd", "d!d."},
		{"degraded while unhealthy", "fdd", "u!u?d!"},
		{"still unhealthy", "ffff", "u!u.u.u."},
	} {
		c := config.DefaultHealthCheck()
		var h health
		var got strings.Builder
		for _, r := range tc.results {
			var step transition
			switch r {
			case 'f':
				step = h.failure(Network, &c)
			case 'a':
				step = h.failure(Active, &c)
			default:
				step = h.success(r == 'd', &c)
			}
			fmt.Fprintf(&got, "%c%c", h.state().String()[0], ".?!"[step])
		}
		if got.String() != tc.want {
			t.Errorf("%s: %s gives %s, want %s", tc.name, tc.results, got.String(), tc.want)
		}
	}
}

func TestZeroHealthIsPending(t *testing.T) {
	var h health
	if h.state() != Pending {
		t.Errorf("a check that never ran is %s", h.state())
	}
}
