package balance

import (
	"math"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// Ramp is the factor of slow start for a member that has been healthy for age,
// for Member.Ramp (Envoy: EdfLoadBalancerBase::applySlowStartFactor). It is 1
// when slow start is off or over; tables have to be built again while it is
// not.
func Ramp(s *config.SlowStart, age time.Duration) float64 {
	if age >= s.Window {
		return 1
	}
	aggression := s.Aggression
	if !(aggression > 0) {
		aggression = 1
	}
	along := float64(max(age, time.Millisecond)) / float64(s.Window)
	return min(1, max(math.Pow(along, 1/aggression), s.MinWeightPercent/100, minRamp))
}

// minRamp keeps a factor above 0, which would mean 1.
const minRamp = 1e-6
