// Svix's Go client against a relay, from an application to its deletion.
// Run by tests/clients/__main__.py, with RELAY_URL and RELAY_KEY. It ends with the first step that fails.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"sync"
	"time"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
)

const (
	uid       = "crm-go"
	eventType = "go.invoice.paid"
	within    = 30 * time.Second
)

type callback struct {
	body    []byte
	headers http.Header
	status  int
}

// receiver keeps every callback, and answers each with its status.
type receiver struct {
	lock   sync.Mutex
	status int
	got    []callback
}

func (r *receiver) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	must(err, "read a callback")
	r.lock.Lock()
	defer r.lock.Unlock()
	r.got = append(r.got, callback{body, request.Header, r.status})
	response.WriteHeader(r.status)
}

func (r *receiver) answer(status int) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.status = status
}

// accepted waits for so many accepted callbacks of a message, and gives the last one.
func (r *receiver) accepted(message string, times int) callback {
	var found callback
	until("a callback of "+message, func() bool {
		r.lock.Lock()
		defer r.lock.Unlock()
		left := times
		for _, each := range r.got {
			if each.headers.Get("webhook-id") == message && each.status < 300 {
				left, found = left-1, each
			}
		}
		return left <= 0
	})
	return found
}

func must(err error, what string) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

func check(holds bool, what string, values ...any) {
	if !holds {
		log.Fatalf("%s: %v", what, values)
	}
}

func until(what string, condition func() bool) {
	for ends := time.Now().Add(within); time.Now().Before(ends); time.Sleep(50 * time.Millisecond) {
		if condition() {
			return
		}
	}
	log.Fatalf("waited %v for %s", within, what)
}

func of[T any](value T) *T { return &value }

func main() {
	ctx := context.Background()
	server, err := url.Parse(os.Getenv("RELAY_URL"))
	must(err, "RELAY_URL")
	client, err := svix.New(os.Getenv("RELAY_KEY"), &svix.SvixOptions{ServerUrl: server})
	must(err, "client")
	hook := &receiver{status: http.StatusNoContent}
	listener := httptest.NewServer(hook)
	defer listener.Close()
	walk(ctx, client, hook, listener.URL+"/hook")
}

func walk(ctx context.Context, client *svix.Svix, hook *receiver, hookURL string) {
	since := time.Now().Add(-time.Minute)
	application, err := client.Application.Create(ctx, models.ApplicationIn{Name: "CRM", Uid: of(uid)}, nil)
	must(err, "create an application")
	found, err := client.Application.Get(ctx, uid)
	must(err, "get an application")
	check(found.Id == application.Id, "the application", found)
	_, err = client.EventType.Create(ctx, models.EventTypeIn{Name: eventType, Description: "An invoice was paid"}, nil)
	must(err, "create an event type")

	in := models.EndpointIn{Url: hookURL, FilterTypes: []string{eventType}}
	endpoint, err := client.Endpoint.Create(ctx, uid, in, nil)
	must(err, "create an endpoint")
	listed, err := client.Endpoint.List(ctx, uid, nil)
	must(err, "list endpoints")
	check(len(listed.Data) == 1 && listed.Data[0].Id == endpoint.Id, "the endpoints", listed)
	patched, err := client.Endpoint.Patch(ctx, uid, endpoint.Id, models.EndpointPatch{Description: of("bills")})
	must(err, "change an endpoint")
	check(patched.Description == "bills", "the description", patched)
	secret := secretOf(ctx, client, endpoint.Id)

	// A message arrives, and its signature is right; a changed body is not.
	first := send(ctx, client, 1)
	arrived := hook.accepted(first.Id, 1)
	must(verify(secret, arrived.body, arrived.headers), "verify a callback")
	var payload struct{ Number int }
	must(json.Unmarshal(arrived.body, &payload), "decode a callback")
	check(payload.Number == 1, "the payload", string(arrived.body))
	tampered := bytes.Replace(arrived.body, []byte("1"), []byte("2"), 1)
	check(verify(secret, tampered, arrived.headers) != nil, "a changed body was verified")

	// The relay shows it, with its attempt.
	messages, err := client.Message.List(ctx, uid, nil)
	must(err, "list messages")
	check(len(messages.Data) == 1 && messages.Data[0].Id == first.Id, "the messages", messages)
	until("the attempt", func() bool { return len(attempts(ctx, client, first.Id)) == 1 })
	byEndpoint, err := client.MessageAttempt.ListByEndpoint(ctx, uid, endpoint.Id, nil)
	must(err, "list attempts")
	attempt := byEndpoint.Data[0]
	check(attempt.MsgId == first.Id && attempt.Status == models.MESSAGESTATUS_SUCCESS, "the attempt", attempt)

	_, err = client.MessageAttempt.Resend(ctx, uid, first.Id, endpoint.Id, nil)
	must(err, "resend")
	hook.accepted(first.Id, 2)

	// After a rotation, the old secret and the new one verify.
	must(client.Endpoint.RotateSecret(ctx, uid, endpoint.Id, models.EndpointSecretRotateIn{}, nil), "rotate the secret")
	fresh := secretOf(ctx, client, endpoint.Id)
	check(fresh != secret, "the secret is the old one")
	signed := hook.accepted(send(ctx, client, 2).Id, 1)
	for _, each := range []string{secret, fresh} {
		must(verify(each, signed.body, signed.headers), "verify after a rotation")
	}

	// What the relay gave up is recovered.
	hook.answer(http.StatusInternalServerError)
	third := send(ctx, client, 3)
	until("the message to be given up", func() bool {
		failed := attempts(ctx, client, third.Id)
		for _, each := range failed {
			if each.Status != models.MESSAGESTATUS_FAIL {
				return false
			}
		}
		return len(failed) > 1
	})
	hook.answer(http.StatusNoContent)
	begun, err := client.Endpoint.Recover(ctx, uid, endpoint.Id, models.RecoverIn{Since: since}, nil)
	must(err, "recover")
	until("the task", func() bool {
		task, err := client.BackgroundTask.Get(ctx, begun.Id)
		must(err, "get a task")
		return task.Status == models.BACKGROUNDTASKSTATUS_FINISHED
	})
	hook.accepted(third.Id, 1)
	until("the statistics", func() bool {
		stats, err := client.Endpoint.GetStats(ctx, uid, endpoint.Id, nil)
		must(err, "get statistics")
		return stats.Success == 3
	})

	// Errors have Svix's codes.
	_, err = client.Endpoint.Get(ctx, uid, "absent")
	checkError(err, http.StatusNotFound, `"not_found"`)
	_, err = client.Endpoint.Create(ctx, uid, models.EndpointIn{Url: "no URL"}, nil)
	checkError(err, http.StatusUnprocessableEntity, `"url"`)

	must(client.Endpoint.Delete(ctx, uid, endpoint.Id), "delete an endpoint")
	must(client.Application.Delete(ctx, uid), "delete an application")
	_, err = client.Application.Get(ctx, uid)
	checkError(err, http.StatusNotFound, `"not_found"`)
}

func send(ctx context.Context, client *svix.Svix, number int) *models.MessageOut {
	message, err := client.Message.Create(ctx, uid, models.MessageIn{
		EventType: eventType,
		EventId:   of(fmt.Sprintf("go-%d", number)),
		Payload:   map[string]any{"number": number, "amount": "12.30"},
	}, nil)
	must(err, "send a message")
	return message
}

func attempts(ctx context.Context, client *svix.Svix, message string) []models.MessageAttemptOut {
	found, err := client.MessageAttempt.ListByMsg(ctx, uid, message, nil)
	must(err, "list attempts of a message")
	return found.Data
}

func secretOf(ctx context.Context, client *svix.Svix, endpoint string) string {
	secret, err := client.Endpoint.GetSecret(ctx, uid, endpoint)
	must(err, "get the secret")
	return secret.Key
}

func verify(secret string, body []byte, headers http.Header) error {
	webhook, err := svix.NewWebhook(secret)
	must(err, "the secret")
	return webhook.Verify(body, headers)
}

func checkError(err error, status int, says string) {
	var refused *svix.Error
	check(errors.As(err, &refused), "no error of the API", err)
	check(refused.Status() == status, "the status", refused.Status(), err)
	check(bytes.Contains(refused.Body(), []byte(says)), "the body", string(refused.Body()))
}
