package entralab

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// maxBatch is the number of requests in one batch (Microsoft documentation).
const maxBatch = 20

// batchRequest is one request in a batch.
type batchRequest struct {
	ID        string            `json:"id"`
	Method    string            `json:"method"`
	URL       string            `json:"url"` // without origin and version
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body"`
	DependsOn []string          `json:"dependsOn"`
}

// isBatch reports whether the call is one. A batch inside a batch is not.
func (c *graphCall) isBatch() bool {
	return !c.inBatch && c.request.Method == http.MethodPost && len(c.path) == 1 && strings.EqualFold(c.path[0], "$batch")
}

// batch runs the requests in order, but those that depend on others after
// them. Each is authorized and noted on its own. Call with l.mu held for
// writing.
func (c *graphCall) batch() (any, *graphError) {
	var body struct {
		Requests []batchRequest `json:"requests"`
	}
	if refused := c.read(&body); refused != nil {
		return nil, refused
	}
	if refused := checkBatch(body.Requests); refused != nil {
		return nil, refused
	}
	statuses := map[string]int{}
	unlucky, trouble := c.batchFault(body.Requests)
	responses := make([]object, 0, len(body.Requests))
	for pending := body.Requests; len(pending) > 0; {
		i := slices.IndexFunc(pending, func(r batchRequest) bool {
			return !slices.ContainsFunc(r.DependsOn, func(id string) bool { return statuses[id] == 0 })
		})
		if i < 0 { // recalled
			return nil, badRequest("BadRequest", "The dependencies of the batch requests form a cycle.")
		}
		status, answer, extra := c.batched(pending[i], statuses, unlucky, trouble)
		statuses[pending[i].ID] = status
		headers := append(object{{"Cache-Control", "no-cache"}}, extra...)
		response := object{{"id", pending[i].ID}, {"status", status}, {"headers", headers}}
		if answer != nil {
			kind := "application/json"
			if _, plain := answer.(plainText); plain { // a JSON text; recalled
				kind = "text/plain"
			}
			response[2].value = append(headers, member{"Content-Type", kind})
			// Encoded now: a later request may change what it points to.
			response = append(response, member{"body", json.RawMessage(encodeJSON(answer))})
		}
		responses = append(responses, response)
		pending = slices.Delete(slices.Clone(pending), i, i+1)
	}
	if f := conditionOf(c.request, "F49"); f != nil && f.kind() == "order" {
		f.use()
		slices.Reverse(responses)
	}
	return object{{"responses", responses}}, nil
}

// batchFault chooses the one request that F49 keeps from being served, and its
// answer.
func (c *graphCall) batchFault(requests []batchRequest) (id string, refused *graphError) {
	f := conditionOf(c.request, "F49")
	if f == nil || f.kind() == "order" {
		return "", nil
	}
	f.use()
	refused = &graphError{http.StatusServiceUnavailable, "serviceNotAvailable", "The service is temporarily unavailable. Please retry."}
	if f.kind() == "throttled" {
		refused = throttled
	}
	return requests[f.random.IntN(len(requests))].ID, refused
}

// checkBatch refuses a batch as a whole (texts recalled).
func checkBatch(requests []batchRequest) *graphError {
	if len(requests) == 0 || len(requests) > maxBatch {
		return badRequest("BadRequest", "Number of batch request steps must be between 1 and 20.")
	}
	seen := map[string]bool{}
	for _, r := range requests {
		if r.ID == "" || seen[r.ID] {
			return badRequest("BadRequest", "Request Id has to be unique in a batch: '"+r.ID+"'.")
		}
		if r.Method == "" || r.URL == "" {
			return badRequest("BadRequest", "A batch request needs a method and a url.")
		}
		seen[r.ID] = true
	}
	for _, r := range requests {
		for _, id := range r.DependsOn {
			if !seen[id] {
				return badRequest("BadRequest", "Request '"+r.ID+"' depends on '"+id+"', which is not in the batch.")
			}
		}
	}
	return nil
}

// batched answers one request of a batch.
func (c *graphCall) batched(r batchRequest, statuses map[string]int, unlucky string, trouble *graphError) (status int, answer any, extra object) {
	refused := c.failedDependency(r, statuses)
	if refused == nil && r.ID == unlucky {
		refused = trouble
	}
	inner := &graphCall{lab: c.lab, now: c.now, requestID: c.requestID, inBatch: true}
	inner.event = Event{Surface: surfaceGraph, Method: strings.ToUpper(r.Method), Outcome: outcomeOK}
	target := c.lab.graphURL + "/" + c.version + "/" + strings.TrimPrefix(r.URL, "/")
	request, err := http.NewRequest(inner.event.Method, strings.ReplaceAll(target, " ", "%20"), nil)
	switch {
	case refused != nil:
	case err != nil:
		refused = badRequest("BadRequest", "Invalid batch request '"+r.ID+"'.")
	default:
		inner.event.Path = request.URL.Path
		for name, value := range r.Headers {
			request.Header.Set(name, value)
		}
		request = request.WithContext(c.request.Context())
		request.Header.Set("Authorization", c.request.Header.Get("Authorization"))
		request.Header.Set("User-Agent", c.request.UserAgent())
		inner.request, inner.body = request, r.Body
		status, answer, refused = inner.run()
	}
	if refused != nil {
		status, answer = refused.status, refused.body(c.now, c.requestID, c.clientRequestID())
		inner.event.Outcome, inner.event.Write = outcomeRefused, nil
	}
	inner.event.Status = status
	c.lab.note(c.request, c.now, inner.event)
	return status, answer, inner.extra
}

// failedDependency is 424 when a request depends on one that failed (Microsoft
// documentation; code and text recalled).
func (c *graphCall) failedDependency(r batchRequest, statuses map[string]int) *graphError {
	for _, id := range r.DependsOn {
		if statuses[id] >= 400 {
			return &graphError{http.StatusFailedDependency, "FailedDependency", "The request depends on request '" + id + "', which failed."}
		}
	}
	return nil
}
