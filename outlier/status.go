package outlier

import "time"

// Status is what is known of one endpoint, for /clusters.
type Status struct {
	Ejected             bool
	Reason              Reason    // of the latest ejection; None if there was none
	Until               time.Time // if ejected: the first sweep from then on lets it back
	TimesEjected        uint32
	LastEjection        time.Time // zero: never
	LastUnejection      time.Time // zero: never
	LocalSuccessRate    float64   // percent at the latest sweep, or NoRate
	ExternalSuccessRate float64
}

// Status returns what is known of an endpoint; ok is false if it is not being
// watched.
func (d *Detector) Status(id int32) (status Status, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.byID[id]
	if m == nil {
		return Status{}, false
	}
	status = Status{
		Ejected:             m.ejected,
		Reason:              m.why,
		TimesEjected:        m.timesEjected,
		LastEjection:        m.lastEjection,
		LastUnejection:      m.lastUnejected,
		LocalSuccessRate:    m.rates[LocalOrigin].value(),
		ExternalSuccessRate: m.rates[ExternalOrigin].value(),
	}
	if m.ejected {
		status.Until = m.lastEjection.Add(d.ejectionTime(m))
	}
	return status, true
}

// Average returns what the endpoints had in common at the latest sweep.
func (d *Detector) Average(o Origin) Average {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.averages[o]
}
