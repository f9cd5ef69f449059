namespace NetdumpCollector.Deploy.Tests.Docker;

/// <summary>One instruction of a Dockerfile.</summary>
/// <param name="Name">In capitals.</param>
/// <param name="Options">What stands before the rest with two dashes, <c>name=value</c>.</param>
/// <param name="Text">The rest, without continuations.</param>
internal sealed record DockerInstruction(string Name, IReadOnlyList<string> Options, string Text)
{
    public string[] Words => Text.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    public string? Option(string name) => Options.Where(option => option.StartsWith($"{name}=", StringComparison.Ordinal)).Select(option => option[(name.Length + 1)..]).FirstOrDefault();
}

/// <summary>From one FROM to the next.</summary>
/// <param name="Image">What it begins with; variables as they are written.</param>
/// <param name="Name">What later stages call it.</param>
/// <param name="Instructions">What follows the FROM.</param>
internal sealed record DockerStage(string Image, string? Name, IReadOnlyList<DockerInstruction> Instructions);

/// <summary>The instructions of a Dockerfile.</summary>
/// <remarks>Source: the Dockerfile reference; heredocs and escape directives, which we have none of, are not known.</remarks>
internal sealed class Dockerfile
{
    private Dockerfile(IReadOnlyList<DockerInstruction> instructions) => Instructions = instructions;

    public IReadOnlyList<DockerInstruction> Instructions { get; }

    public IReadOnlyList<DockerStage> Stages
    {
        get
        {
            int[] starts = [.. Enumerable.Range(0, Instructions.Count).Where(index => Instructions[index].Name == "FROM")];
            return [.. starts.Select((start, number) => StageOf(Instructions[start], Instructions.Take(number + 1 < starts.Length ? starts[number + 1] : Instructions.Count).Skip(start + 1)))];
        }
    }

    public static Dockerfile Parse(string text)
    {
        string[] lines = [.. text.Split('\n').Where(line => line.Length > 0 && !line.StartsWith('#'))];
        var joined = string.Join('\n', lines).Replace("\\\n", " ", StringComparison.Ordinal).Split('\n');
        return new([.. joined.Select(InstructionOf)]);
    }

    /// <summary>What an ARG is without being given.</summary>
    public string DefaultOf(string argument) =>
        Instructions.Where(instruction => instruction.Name == "ARG" && instruction.Text.StartsWith($"{argument}=", StringComparison.Ordinal)).Select(instruction => instruction.Text[(argument.Length + 1)..]).Single();

    private static DockerInstruction InstructionOf(string line)
    {
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        string[] options = [.. words.Skip(1).TakeWhile(word => word.StartsWith("--", StringComparison.Ordinal)).Select(word => word[2..])];
        return new(words[0], options, string.Join(' ', words.Skip(1 + options.Length)));
    }

    private static DockerStage StageOf(DockerInstruction from, IEnumerable<DockerInstruction> instructions)
    {
        string[] words = from.Words;
        return new(words[0], words is [_, "AS", var name] ? name : null, [.. instructions]);
    }
}
