package config

import "time"

// DefaultCluster is a static cluster that only lacks name and endpoints. Its
// figures are Envoy's where Envoy has them.
func DefaultCluster() Cluster {
	return Cluster{
		Type:                   ClusterStatic,
		ConnectTimeout:         5 * time.Second,
		LBPolicy:               RoundRobin,
		LeastRequest:           LeastRequestPolicy{ChoiceCount: 2, ActiveRequestBias: 1},
		RingHash:               RingHashPolicy{MinimumRingSize: 1024, MaximumRingSize: 8 << 20},
		Maglev:                 MaglevPolicy{TableSize: 65537},
		SlowStart:              SlowStart{Aggression: 1, MinWeightPercent: 10},
		HealthyPanicThreshold:  50,
		OverprovisioningFactor: 140,
		DNS:                    DNS{RefreshRate: 5 * time.Second, RespectTTL: true, LookupFamily: LookupAuto},
		CircuitBreakers:        CircuitBreakers{MaxConnections: 1024, MaxPending: 1024},
		OnEndpointRemoved:      KeepConnections,
		OnEndpointUnhealthy:    KeepConnections,
		TCPKeepalive:           DefaultKeepalive(),
		TCPUserTimeout:         30 * time.Second,
	}
}

// DefaultEndpoint is an endpoint that only lacks its address.
func DefaultEndpoint() Endpoint {
	return Endpoint{Weight: 1, HealthStatus: HealthUnknown, LocalityWeight: 1}
}

// DefaultHealthCheck is a check that only lacks its type.
func DefaultHealthCheck() HealthCheck {
	return HealthCheck{
		Interval:           5 * time.Second,
		Timeout:            time.Second,
		UnhealthyThreshold: 3,
		HealthyThreshold:   2,
		NoTrafficInterval:  time.Minute,
		ReuseConnection:    true,
		HTTP:               HTTPHealthCheck{Path: "/healthz", Method: "GET", ExpectedStatuses: []string{"200"}},
	}
}

// DefaultAppHealthCheck is how a sidecar checks its own application when nothing
// is said: it wants a sign of life, not only a connection that the kernel makes,
// and looks more often, as that costs no network.
func DefaultAppHealthCheck() HealthCheck {
	c := DefaultHealthCheck()
	c.Type = HealthCheckTCP
	c.Interval = time.Second
	c.HealthyThreshold = 1
	c.TCP.ExpectReaction = true
	return c
}

// DefaultOutlierDetection is what Envoy does when nothing is said.
func DefaultOutlierDetection() OutlierDetection {
	return OutlierDetection{
		Interval:                               10 * time.Second,
		BaseEjectionTime:                       30 * time.Second,
		MaxEjectionTime:                        300 * time.Second,
		MaxEjectionPercent:                     10,
		ConsecutiveLocalOriginFailure:          5,
		EnforcingConsecutiveLocalOriginFailure: 100,
		SuccessRateMinimumHosts:                5,
		SuccessRateRequestVolume:               100,
		SuccessRateStdevFactor:                 1900,
		EnforcingLocalOriginSuccessRate:        100,
		FailurePercentageThreshold:             85,
		FailurePercentageMinimumHosts:          5,
		FailurePercentageRequestVolume:         50,
		EarlyCloseWindow:                       time.Second,
		FirstByteTimeout:                       5 * time.Second,
		SuccessfulActiveHealthCheckUnejectHost: true,
	}
}
