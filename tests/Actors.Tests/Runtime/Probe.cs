using NetdumpCollector.Actors.Runtime;

namespace NetdumpCollector.Actors.Tests.Runtime;

/// <summary>An actor that writes down what happens to it.</summary>
internal sealed class Probe(List<string> journal, string name = "probe") : Actor<Probe.Message>
{
    public abstract record Message;

    public sealed record Say(string Text) : Message;

    public sealed record Throw(string Text) : Message;

    public sealed record Question(Reply<string> Answer) : Message;

    public sealed record Arm(long DueUs, string Text) : Message;

    public sealed record SpawnChild(string Name, List<string> Journal, IDispatcher Dispatcher, SpawnOptions Options) : Message;

    public sealed record ToChild(Message Inner) : Message;

    public sealed record StopSelf : Message;

    public sealed record Reenter(string Text) : Message;

    /// <summary>Runs inside the actor.</summary>
    public sealed record Act(Action Action) : Message;

    private ActorRef<Message>? _child;

    protected override void PreStart() => journal.Add($"{name} starts");

    protected override void PostStop(Exception? failure) => journal.Add($"{name} stops{(failure is null ? "" : " after " + failure.Message)}");

    protected override void Receive(Message message)
    {
        switch (message)
        {
            case Say say:
                journal.Add(say.Text);
                break;
            case Throw thrown:
                throw new InvalidOperationException(thrown.Text);
            case Question question:
                question.Answer.Send("answer");
                question.Answer.Send("second answer");
                break;
            case Arm arm:
                Context.CreateTimer(new Say(arm.Text)).Arm(arm.DueUs);
                break;
            case SpawnChild spawn:
                _child = Context.Spawn<Message>(spawn.Name, spawn.Dispatcher, () => new Probe(spawn.Journal, spawn.Name), spawn.Options);
                break;
            case ToChild forward:
                _child!.Tell(forward.Inner);
                break;
            case Act act:
                act.Action();
                break;
            case StopSelf:
                Context.Stop();
                break;
            case Reenter reenter:
                journal.Add($"before {reenter.Text}");
                Self.Deliver(new Say(reenter.Text));
                journal.Add($"after {reenter.Text}");
                break;
        }
    }
}
