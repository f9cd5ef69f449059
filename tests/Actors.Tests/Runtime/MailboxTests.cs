using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Actors.Runtime;

namespace NetdumpCollector.Actors.Tests.Runtime;

public sealed class MailboxTests
{
    [Fact]
    public void Behaves_as_a_bounded_queue() =>
        Prop.ForAll(Gen.Choose(-2, 5).ListOf().ToArbitrary(), steps =>
        {
            const int Capacity = 20;
            var mailbox = new Mailbox<string>(Capacity);
            var model = new Queue<string>();
            int next = 0;
            foreach (int step in steps)
            {
                for (int i = 0; i < step; i++)
                {
                    string message = $"{next++}";
                    int length = mailbox.TryEnqueue(message);
                    bool taken = length == model.Count + 1;
                    if (taken != (model.Count < Capacity) || (!taken && length != Mailbox<string>.Full))
                        return false;
                    if (taken)
                        model.Enqueue(message);
                }

                for (int i = step; i < 0; i++)
                {
                    if (mailbox.TryDequeue(out string? got) != model.TryDequeue(out string? expected) || got != expected)
                        return false;
                }

                if (mailbox.Count != model.Count)
                    return false;
            }

            return true;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Keeps_what_is_inside_when_it_closes()
    {
        var mailbox = new Mailbox<string>(4);
        mailbox.TryEnqueue("inside");
        mailbox.Close();
        Assert.Equal(Mailbox<string>.Closed, mailbox.TryEnqueue("outside"));
        Assert.True(mailbox.TryDequeue(out string? message));
        Assert.Equal("inside", message);
    }
}
