package healthcheck

import "github.com/sluiceproxy/sluice/config"

// check is a configured check, made ready once for all endpoints.
type check struct {
	config   config.HealthCheck
	send     []byte
	receive  [][]byte
	statuses []config.StatusRange
}

// compile reads the texts of a valid check.
func compile(c *config.HealthCheck) *check {
	made := &check{config: *c}
	made.send, _ = config.ParsePayload(c.TCP.Send) // as config.Validate did
	for _, text := range c.TCP.Receive {
		block, _ := config.ParsePayload(text)
		made.receive = append(made.receive, block)
	}
	for _, text := range c.HTTP.ExpectedStatuses {
		statuses, _ := config.ParseStatusRange(text)
		made.statuses = append(made.statuses, statuses)
	}
	return made
}

// listens says whether the endpoint has to answer anything. Without that, a
// connection is enough.
func (c *check) listens() bool {
	return c.config.Type != config.HealthCheckTCP || len(c.receive) > 0 || c.config.TCP.ExpectReaction
}

// talks says whether anything is said at all.
func (c *check) talks() bool { return c.listens() || len(c.send) > 0 }

// halfCloses says whether FIN follows what is sent.
func (c *check) halfCloses() bool {
	return c.config.Type == config.HealthCheckTCP && c.config.TCP.ExpectReaction
}

// expects says whether a status is healthy.
func (c *check) expects(status int) bool {
	for _, r := range c.statuses {
		if int(r.First) <= status && status <= int(r.Last) {
			return true
		}
	}
	return false
}
