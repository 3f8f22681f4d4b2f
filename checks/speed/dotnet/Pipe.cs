// What it costs System.IO.Pipelines to hand bytes from a writer to a reader, by what it costs to copy them once: the rows of
// benches/pipe.rs, measured in the same way: rows take turns of at most a few milliseconds, and the best turn counts.
//
//     dotnet run -c Release --project checks/speed/dotnet -- --seconds 18

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading.Tasks;

// The room of the pipe in benches/pipe.rs, and the blocks that it takes.
const int Room = 256 << 10;
const int Block = 16 << 10;

var given = Array.IndexOf(args, "--seconds");
var seconds = given < 0 ? 10 : int.Parse(args[given + 1]);

PipeOptions same = new(
    pauseWriterThreshold: Room, resumeWriterThreshold: Room / 2, minimumSegmentSize: Block, useSynchronizationContext: false);
Size[] sizes = [new("64 B", 64, 160_000), new("4 KiB", 4 << 10, 40_000), new("64 KiB", 64 << 10, 4000)];

List<Row> rows = [];
Dictionary<Size, Row> copies = [];
foreach (var size in sizes)
{
    var source = size.Source();
    copies[size] = new InTurns<Copy>("a copy", size, new(source));
    rows.Add(copies[size]);
    rows.Add(new InTurns<Reserved>("GetSpan, in turns", size, new(source, new Pipe(same))));
    rows.Add(new InTurns<Written>("WriteAsync, in turns", size, new(source, new Pipe(same))));
    rows.Add(new InTurns<Reserved>("GetSpan, in turns, default options", size, new(source, new Pipe())));
}
foreach (var size in sizes)
{
    rows.Add(new TwoThreads("GetSpan, two threads", size, same, TwoThreads.Reserve));
    rows.Add(new TwoThreads("WriteAsync, two threads", size, same, TwoThreads.Write));
    rows.Add(new TwoThreads("GetSpan, two threads, default options", size, PipeOptions.Default, TwoThreads.Reserve));
}

// The runtime compiles what runs often once more, in the background. What was measured before does not count.
TakeTurns(TimeSpan.FromSeconds(Math.Max(seconds / 4.0, 3)));
rows.ForEach(row => row.Forget());
TakeTurns(TimeSpan.FromSeconds(seconds));

Console.WriteLine($"System.IO.Pipelines of {RuntimeInformation.FrameworkDescription}: a chunk written and read");
Console.WriteLine($"{"",-48} {"best ns",9} {"/copy",8} {"median",8}");
foreach (var row in rows)
{
    var copy = copies[row.Size];
    Console.WriteLine($"{row.Name,-48} {row.Best,9:F2} {row.Best / copy.Best,8:F3} {row.Median / copy.Median,8:F3}");
}

void TakeTurns(TimeSpan time)
{
    for (var clock = Stopwatch.StartNew(); clock.Elapsed < time;)
    {
        rows.ForEach(row => row.TakeTurn());
    }
}

/// <summary>A chunk, and how many a turn of two threads hands over.</summary>
record Size(string Label, int Length, int Chunks)
{
    public byte[] Source() => Enumerable.Range(0, Length).Select(at => (byte)at).ToArray();
}

abstract class Row(string name, Size size)
{
    /// <summary>Nanoseconds of a chunk in each turn.</summary>
    private readonly List<double> turns = [];

    public string Name => $"{Size.Label}, {name}";
    public Size Size => size;
    public double Best => turns.Min();
    public double Median => turns.Order().ElementAt(turns.Count / 2);

    public void Forget() => turns.Clear();

    public void TakeTurn()
    {
        if (Turn() is double ns)
        {
            turns.Add(ns);
        }
    }

    /// <summary>Nanoseconds of a chunk, or nothing when the turn was too short to tell.</summary>
    protected abstract double? Turn();
}

/// <summary>Something that one thread does again and again. A struct, so that the loop around it is compiled for it alone.</summary>
interface IOperation
{
    /// <summary>Hands one chunk over, and returns how many bytes arrived.</summary>
    int Do();
}

sealed class InTurns<TOperation>(string name, Size size, TOperation operation) : Row(name, size)
    where TOperation : struct, IOperation
{
    private const double TurnNs = 400_000;
    private TOperation operation = operation;
    private int times = 16;

    protected override double? Turn()
    {
        var start = Stopwatch.GetTimestamp();
        var bytes = Repeat(ref operation, times);
        var ns = Stopwatch.GetElapsedTime(start).TotalNanoseconds;
        if (bytes != (long)times * Size.Length)
        {
            throw new InvalidOperationException($"{Name}: {bytes} bytes arrived");
        }
        if (ns < TurnNs / 2)
        {
            times *= ns < TurnNs / 16 ? 8 : 2;
            return null;
        }
        return ns / times;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static long Repeat(ref TOperation operation, int times)
    {
        long bytes = 0;
        for (var time = 0; time < times; time++)
        {
            bytes += operation.Do();
        }
        return bytes;
    }
}

readonly struct Copy(byte[] chunk) : IOperation
{
    private readonly byte[] target = new byte[chunk.Length];

    public int Do()
    {
        chunk.AsSpan().CopyTo(target);
        return chunk.Length;
    }
}

/// <summary>The writer asks for room and fills it.</summary>
readonly struct Reserved(byte[] chunk, Pipe pipe) : IOperation
{
    public int Do()
    {
        chunk.CopyTo(pipe.Writer.GetSpan(chunk.Length));
        pipe.Writer.Advance(chunk.Length);
        var flush = pipe.Writer.FlushAsync();
        var length = Reading.Now(pipe.Reader);
        // Where a chunk is all that the pipe holds by its options, the flush was waiting for the reader until now.
        flush.GetAwaiter().GetResult();
        return length;
    }
}

/// <summary>The pipe asks itself for room.</summary>
readonly struct Written(byte[] chunk, Pipe pipe) : IOperation
{
    public int Do()
    {
        var flush = pipe.Writer.WriteAsync(chunk);
        var length = Reading.Now(pipe.Reader);
        flush.GetAwaiter().GetResult();
        return length;
    }
}

static class Reading
{
    /// <summary>Looks at what there is and uses it up.</summary>
    public static int Now(PipeReader reader)
    {
        if (!reader.TryRead(out var result))
        {
            throw new InvalidOperationException("there is no chunk");
        }
        return UseUp(reader, result);
    }

    public static int UseUp(PipeReader reader, ReadResult result)
    {
        var buffer = result.Buffer;
        var length = 0;
        foreach (var segment in buffer)
        {
            length += segment.Span.Length;
        }
        reader.AdvanceTo(buffer.End);
        return length;
    }
}

/// <summary>A task that writes and one that reads, each in a thread of the pool.</summary>
sealed class TwoThreads(string name, Size size, PipeOptions options, Func<PipeWriter, byte[], int, Task> write) : Row(name, size)
{
    private readonly byte[] chunk = size.Source();

    protected override double? Turn()
    {
        var pipe = new Pipe(options);
        var start = Stopwatch.GetTimestamp();
        var writer = Task.Run(() => write(pipe.Writer, chunk, Size.Chunks));
        var reader = Task.Run(() => Read(pipe.Reader));
        Task.WaitAll(writer, reader);
        var ns = Stopwatch.GetElapsedTime(start).TotalNanoseconds;
        if (reader.Result != (long)Size.Chunks * Size.Length)
        {
            throw new InvalidOperationException($"{Name}: {reader.Result} bytes arrived");
        }
        return ns / Size.Chunks;
    }

    public static async Task Reserve(PipeWriter writer, byte[] chunk, int chunks)
    {
        for (var sent = 0; sent < chunks; sent++)
        {
            chunk.CopyTo(writer.GetSpan(chunk.Length));
            writer.Advance(chunk.Length);
            await writer.FlushAsync();
        }
        writer.Complete();
    }

    public static async Task Write(PipeWriter writer, byte[] chunk, int chunks)
    {
        for (var sent = 0; sent < chunks; sent++)
        {
            await writer.WriteAsync(chunk);
        }
        writer.Complete();
    }

    private static async Task<long> Read(PipeReader reader)
    {
        long all = 0;
        while (true)
        {
            var result = await reader.ReadAsync();
            all += Reading.UseUp(reader, result);
            if (result.IsCompleted)
            {
                return all;
            }
        }
    }
}
