package main

import "github.com/sluiceproxy/sluice/internal/testnet"

// protocol is what is spoken over a connection.
type protocol string

const (
	http11      protocol = "HTTP"
	serverFirst protocol = "server-first"
)

// call is a connection that the demo makes, with what must become of it.
type call struct {
	from   *testnet.Host
	to     string // host:port, the original destination
	speaks protocol
	legs   []leg  // through the sidecar, in order; none: it must not be captured
	source string // IP that the application must see
}

// leg is one passage through the sidecar.
type leg struct {
	direction string
	to        string // the original destination
	listener  string
	chain     string
	cluster   string
	endpoints []string // any of them
}

// calls are the connections of the demo.
func calls(w *world, m mode) []call {
	in := m.inboundSource(clientIP)
	list := []call{
		{w.client, podIP + ":9080", http11, []leg{inboundHTTP()}, in},
		{w.client, podIP + ":3306", serverFirst, []leg{passthrough("inbound", podIP+":3306")}, in},
	}
	for range ratingsCalls {
		list = append(list, call{w.pod, ratingsIP + ":9080", http11, []leg{outboundRatings()}, podFarIP})
	}
	return append(list,
		call{w.pod, remoteIP + ":3306", serverFirst, []leg{passthrough("outbound", remoteIP+":3306")}, podFarIP},
		// To its own service: out through the sidecar and in through it again.
		call{w.pod, reviewsIP + ":9080", http11, []leg{outboundReviews(), inboundHTTP()}, m.inboundSource(podIP)},
		// To its own address: neither leg, as in Istio.
		call{w.pod, podIP + ":9080", http11, nil, podIP},
	)
}

// ratingsCalls is how often the pod calls ratings: each endpoint must serve
// half of them.
const ratingsCalls = 4

func inboundHTTP() leg {
	return leg{"inbound", podIP + ":9080", "virtualInbound", "inbound|9080||", "inbound|9080||", []string{podIP + ":9080"}}
}

func outboundRatings() leg {
	return leg{"outbound", ratingsIP + ":9080", "0.0.0.0_9080", "outbound|9080||ratings", "outbound|9080||ratings",
		[]string{remoteIP + ":9080", remoteIP2 + ":9080"}}
}

func outboundReviews() leg {
	return leg{"outbound", reviewsIP + ":9080", "0.0.0.0_9080", "outbound|9080||reviews", "outbound|9080||reviews",
		[]string{podIP + ":9080"}}
}

func passthrough(direction, to string) leg {
	l := leg{direction, to, "virtualInbound", "passthrough", "InboundPassthrough", []string{to}}
	if direction == "outbound" {
		l.listener, l.cluster = "virtualOutbound", "PassthroughCluster"
	}
	return l
}
