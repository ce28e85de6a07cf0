package healthcheck

import "github.com/sluiceproxy/sluice/config"

// transition is what one result did to a check's health.
type transition uint8

const (
	unchanged transition = iota
	pending              // on the way to the other side of a threshold
	changed
)

// health is where one check of one endpoint stands. The zero health is one that
// was never checked: failed, until the first result, which counts at once in
// either direction.
type health struct {
	checked  bool
	passing  bool
	degraded bool
	run      uint32 // results in a row that speak against passing
}

// success counts a passed check (ActiveHealthCheckSession::handleSuccess).
func (h *health) success(degraded bool, c *config.HealthCheck) transition {
	first := !h.checked
	h.checked = true
	step := unchanged
	switch {
	case h.passing:
		h.run = 0
	case first || h.run+1 >= c.HealthyThreshold:
		h.passing, h.run, step = true, 0, changed
	default:
		h.run++
		step = pending
	}
	if h.degraded != degraded {
		h.degraded = degraded
		if step == unchanged {
			step = changed
		}
	}
	return step
}

// failure counts a failed check (ActiveHealthCheckSession::setUnhealthy).
func (h *health) failure(f Failure, c *config.HealthCheck) transition {
	first := !h.checked
	h.checked = true
	switch {
	case first:
		return changed // from "not known yet"
	case !h.passing:
		h.run = 0
		return unchanged
	case f.certain() || h.run+1 >= c.UnhealthyThreshold:
		h.passing, h.run = false, 0
		return changed
	}
	h.run++
	return pending
}

func (h *health) state() State {
	switch {
	case !h.checked:
		return Pending
	case !h.passing:
		return Unhealthy
	case h.degraded:
		return Degraded
	}
	return Healthy
}
