package outlier

import (
	"math"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// Settings is all that Envoy's cluster.v3.OutlierDetection can say, and two
// detections of ours at the end. Fields named Enforcing are percentages: how
// often a detection ejects instead of only being counted. A number of
// consecutive results that is 0 turns that detection off.
type Settings struct {
	Interval              time.Duration // between sweeps
	BaseEjectionTime      time.Duration
	MaxEjectionTime       time.Duration
	MaxEjectionTimeJitter time.Duration // in whole milliseconds
	MaxEjectionPercent    uint32
	AlwaysEjectOneHost    bool // whatever MaxEjectionPercent says

	// SplitExternalLocalOriginErrors keeps apart what happens while connecting
	// (local origin) and what an endpoint answers (external origin). Without
	// it failures of both count as answers, and connections that are made count
	// as nothing.
	SplitExternalLocalOriginErrors bool

	Consecutive5xx                         uint32
	EnforcingConsecutive5xx                uint32
	ConsecutiveGatewayFailure              uint32
	EnforcingConsecutiveGatewayFailure     uint32
	ConsecutiveLocalOriginFailure          uint32
	EnforcingConsecutiveLocalOriginFailure uint32

	SuccessRateMinimumHosts         uint32
	SuccessRateRequestVolume        uint32
	SuccessRateStdevFactor          uint32 // thousandths
	EnforcingSuccessRate            uint32
	EnforcingLocalOriginSuccessRate uint32

	FailurePercentageThreshold            uint32
	FailurePercentageMinimumHosts         uint32
	FailurePercentageRequestVolume        uint32
	EnforcingFailurePercentage            uint32
	EnforcingFailurePercentageLocalOrigin uint32

	SuccessfulActiveHealthCheckUnejectHost bool

	// These two are not in Envoy, and always enforced.
	ConsecutiveEarlyClose       uint32
	ConsecutiveFirstByteTimeout uint32
}

// SettingsOf is what a cluster's configuration means: local and external
// origin are split, as a relay of bytes sees no answers, and a connection that
// is made is a success of its own.
func SettingsOf(o *config.OutlierDetection) Settings {
	return Settings{
		Interval:                               o.Interval,
		BaseEjectionTime:                       o.BaseEjectionTime,
		MaxEjectionTime:                        o.MaxEjectionTime,
		MaxEjectionTimeJitter:                  o.MaxEjectionTimeJitter,
		MaxEjectionPercent:                     o.MaxEjectionPercent,
		AlwaysEjectOneHost:                     o.AlwaysEjectOneHost,
		SplitExternalLocalOriginErrors:         true,
		ConsecutiveLocalOriginFailure:          o.ConsecutiveLocalOriginFailure,
		EnforcingConsecutiveLocalOriginFailure: o.EnforcingConsecutiveLocalOriginFailure,
		SuccessRateMinimumHosts:                o.SuccessRateMinimumHosts,
		SuccessRateRequestVolume:               o.SuccessRateRequestVolume,
		SuccessRateStdevFactor:                 o.SuccessRateStdevFactor,
		EnforcingLocalOriginSuccessRate:        o.EnforcingLocalOriginSuccessRate,
		FailurePercentageThreshold:             o.FailurePercentageThreshold,
		FailurePercentageMinimumHosts:          o.FailurePercentageMinimumHosts,
		FailurePercentageRequestVolume:         o.FailurePercentageRequestVolume,
		EnforcingFailurePercentageLocalOrigin:  o.EnforcingFailurePercentageLocalOrigin,
		SuccessfulActiveHealthCheckUnejectHost: o.SuccessfulActiveHealthCheckUnejectHost,
		ConsecutiveEarlyClose:                  o.ConsecutiveEarlyClose,
		ConsecutiveFirstByteTimeout:            o.ConsecutiveFirstByteTimeout,
	}
}

// The longest durations, 36 years and 49 days: sums and products of them that
// the arithmetic needs do not overflow.
const (
	longestEjection = time.Duration(1) << 60
	longestJitter   = (math.MaxUint32 - 1) * time.Millisecond
)

// bounded is the settings with durations that can be reckoned with.
func (s Settings) bounded() Settings {
	s.BaseEjectionTime = max(0, min(s.BaseEjectionTime, longestEjection))
	s.MaxEjectionTime = max(0, min(s.MaxEjectionTime, longestEjection))
	s.MaxEjectionTimeJitter = max(0, min(s.MaxEjectionTimeJitter, longestJitter))
	s.MaxEjectionPercent = min(s.MaxEjectionPercent, 100)
	return s
}

// enforcing is how many of a hundred detections of a kind eject.
func (s *Settings) enforcing(why Reason) uint32 {
	switch why {
	case Consecutive5xx:
		return s.EnforcingConsecutive5xx
	case ConsecutiveGatewayFailure:
		return s.EnforcingConsecutiveGatewayFailure
	case SuccessRate:
		return s.EnforcingSuccessRate
	case ConsecutiveLocalOriginFailure:
		return s.EnforcingConsecutiveLocalOriginFailure
	case SuccessRateLocalOrigin:
		return s.EnforcingLocalOriginSuccessRate
	case FailurePercentage:
		return s.EnforcingFailurePercentage
	case FailurePercentageLocalOrigin:
		return s.EnforcingFailurePercentageLocalOrigin
	default: // ours
		return 100
	}
}
