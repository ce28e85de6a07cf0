package dns

import (
	"math/rand/v2"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

const (
	// defaultRefresh is Envoy's, for settings without a rate.
	defaultRefresh = 5 * time.Second
	// leastByTTL is the shortest refresh that a server can ask for by its TTL.
	leastByTTL = time.Second
	// mostBackoff bounds the pauses after failures, where the refresh rate is
	// not longer itself.
	mostBackoff = 30 * time.Second
)

func refreshRate(settings config.DNS) time.Duration {
	if settings.RefreshRate <= 0 {
		return defaultRefresh
	}
	return settings.RefreshRate
}

// refreshAfter is the pause after a good answer. A TTL of 0 leaves it to the
// refresh rate, as in Envoy.
func refreshAfter(settings config.DNS, ttl time.Duration) time.Duration {
	rate := refreshRate(settings)
	if !settings.RespectTTL {
		return rate
	}
	if ttl > 0 {
		rate = ttl
	}
	return max(rate, leastByTTL)
}

// backoff is the pause after failures in a row: the refresh rate, doubled each
// time up to ten times as much or 30 s, and of this a random part between a
// half and all, so that names that failed together are not asked for together.
func backoff(settings config.DNS, failures int) time.Duration {
	rate := refreshRate(settings)
	most := max(rate, min(10*rate, mostBackoff))
	pause := rate
	for i := 1; i < failures && pause < most; i++ {
		pause *= 2
	}
	pause = min(pause, most)
	return pause/2 + rand.N(pause/2+1)
}
